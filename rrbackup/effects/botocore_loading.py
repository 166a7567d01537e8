"""Loading botocore's descriptions of services with half of the work.

Every process needs them, for the first request already. As it comes, botocore looks into the folder of each of its 400
services to find the one that is asked for, and reads JSON with the standard library.
"""

import os
from gzip import decompress
from pathlib import Path
from typing import Any

import orjson
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session


class _QuickFiles(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:  # botocore's own words for what JSON gives
        """What the file says; None where there is none."""
        for name, plain in ((f"{file_path}.json", bytes), (f"{file_path}.json.gz", decompress)):
            if os.path.isfile(name):
                return orjson.loads(plain(Path(name).read_bytes()))
        return None


class _QuickLoader(Loader):
    FILE_LOADER_CLASS = _QuickFiles

    def list_available_services(self, type_name: str) -> list[str]:
        """All folders of descriptions; one without the type that is asked for fails when it is loaded."""
        return [name for path in self.search_paths if os.path.isdir(path) for name in os.listdir(path)]


def load_quickly(session: Session) -> None:
    """Let `session` find and read descriptions this way, in the same folders as before."""
    more = session.get_config_variable("data_path") or ""
    paths = [os.path.expanduser(os.path.expandvars(path)) for path in more.split(os.pathsep) if path]
    session.register_component("data_loader", _QuickLoader(extra_search_paths=paths))

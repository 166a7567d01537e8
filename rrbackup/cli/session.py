"""One run of the command line: its options, its output, and how a command gets at its repository."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import click
from attrs import frozen

from rrbackup.api import Repository, open_repository
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.human import incomplete
from rrbackup.cli.listening import listening
from rrbackup.cli.options import GlobalOptions
from rrbackup.cli.output import Output
from rrbackup.cli.tables import Table, plain_lines
from rrbackup.config import Config, load_config
from rrbackup.effects.limited import Limits
from rrbackup.effects.opening import Ask
from rrbackup.events import OnEvent
from rrbackup.pure.model import Problem


@frozen
class Session:
    options: GlobalOptions
    output: Output

    @contextmanager
    def repository(self) -> Iterator[Repository]:
        """The repository that the configuration names; warnings about the configuration are told first."""
        with self.opened(self.configuration()) as repository:
            yield repository

    def opened(self, config: Config, password: str = "Password") -> Repository:
        """With the limits that were asked for; `password` is what a person is asked for."""
        threads, limits = self.options.threads, Limits(self.options.limit_upload, self.options.limit_download)
        return open_repository(config, threads=threads, ask=self.asker(password), limits=limits)

    def configuration(self) -> Config:
        """What was loaded; its warnings are told."""
        config = load_config(self.options.config)
        if not self.options.quiet:
            for warning in config.warnings():
                self.output.warning(warning)
        return config

    def asker(self, what: str = "Password") -> Ask | None:
        """Asks for a password on the terminal; None where there is none to ask on."""
        return partial(ask_password, what) if self.can_ask else None

    @property
    def can_ask(self) -> bool:
        """Whether there is a person to answer."""
        return sys.stdin is not None and sys.stdin.isatty() and not self.options.json

    @contextmanager
    def listening(self) -> Iterator[OnEvent]:
        """The callback for one long operation."""
        options = self.options
        display = not options.json
        with listening(self.output, quiet=options.quiet, verbose=options.verbose, display=display) as listen:
            yield listen

    def note(self, text: str) -> None:
        if not self.options.quiet:
            self.output.note(text)

    def listing(self, document: Mapping[str, object], lines: Iterable[str]) -> ExitCode:
        """What was asked for."""
        if self.options.json:
            self.output.document(document)
        else:
            self.output.lines(lines)
        return ExitCode.DONE

    def table(self, document: Mapping[str, object], table: Table) -> ExitCode:
        """What was asked for, in columns."""
        if self.options.json or not self.output.out_is_terminal:
            return self.listing(document, plain_lines(table))
        # rich takes a tenth of a second to import, and only a terminal needs it
        from rrbackup.cli.terminal import print_table

        assert self.output.out is not None
        print_table(table, self.output.out)
        return ExitCode.DONE

    def result(self, document: Mapping[str, object], lines: Iterable[str]) -> ExitCode:
        """What was done; people may not want to know."""
        return self.listing(document, () if self.options.quiet else lines)

    def ending(self, problems: Sequence[Problem], consequence: str) -> ExitCode:
        """Tell each problem; the exit code says whether something that was asked for is missing.

        With `--json` they stand in the document.
        """
        missing = [problem for problem in problems if problem.kind.incomplete]
        if not self.options.json:
            self._tell(problems)
            if missing:
                self.output.note(incomplete(len(missing), consequence))
        return ExitCode.INCOMPLETE if missing else ExitCode.DONE

    def _tell(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if problem.kind.incomplete:
                self.output.problem(str(problem))
            else:
                self.note(str(problem))


def ask_password(what: str, new: bool) -> str:
    """The question goes to standard error, and the answer is not shown; a new password is asked for twice."""
    text = f"{what} (if it is lost, so is what it encrypts)" if new else what
    answer: str = click.prompt(text, hide_input=True, confirmation_prompt=new, err=True)
    return answer

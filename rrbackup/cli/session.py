"""One run of the command line: the global options, the output, and how a command gets at its repository."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from attrs import frozen

from rrbackup.api import Repository, open_repository
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.listening import listening
from rrbackup.cli.options import GlobalOptions
from rrbackup.cli.output import Output
from rrbackup.config import load_config
from rrbackup.events import OnEvent
from rrbackup.pure.model import Problem


@frozen
class Session:
    options: GlobalOptions
    output: Output

    @contextmanager
    def repository(self) -> Iterator[Repository]:
        """The repository that the configuration names; warnings about the configuration are told first."""
        config = load_config(self.options.config)
        if not self.options.quiet:
            for warning in config.warnings():
                self.output.warning(warning)
        with open_repository(config) as repository:
            yield repository

    @contextmanager
    def listening(self) -> Iterator[OnEvent]:
        """The callback for one long operation."""
        options = self.options
        with listening(
            self.output, quiet=options.quiet, verbose=options.verbose, display=not options.json
        ) as listen:
            yield listen

    def document(self, document: Mapping[str, object]) -> None:
        self.output.document(document)

    def summary(self, lines: Iterator[str]) -> None:
        """What was done, unless nobody wants to know."""
        if not self.options.quiet:
            self.output.lines(lines)

    def problems(self, problems: tuple[Problem, ...], consequence: str) -> ExitCode:
        """Tell each problem, and whether the run is incomplete for it. With `--json` the document holds them."""
        missed = [problem for problem in problems if problem.kind.incomplete]
        if not self.options.json:
            self._tell_problems(problems, len(missed), consequence)
        return ExitCode.INCOMPLETE if missed else ExitCode.DONE

    def _tell_problems(self, problems: tuple[Problem, ...], missed: int, consequence: str) -> None:
        for problem in problems:
            if problem.kind.incomplete:
                self.output.problem(str(problem))
            elif not self.options.quiet:
                self.output.note(str(problem))
        if missed:
            self.output.note(incomplete(missed, consequence))

"""``skyhooks restart``: stop, then start."""

from pathlib import Path

import click

from skyhooks.cli.daemon import log_file_of, pid_file_of, running
from skyhooks.cli.start import begin
from skyhooks.cli.stop import end
from skyhooks.configfile import engine_of


@click.command()
@running
@click.option("--grace", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds to stop in.")
def restart(conf: Path, pid_file: Path | None, log_file: Path | None, overrides: tuple[str, ...], grace: float) -> None:
    """Replace what runs by a new process; start one when none runs.

    Without --log-file and -X, those of the running process are used again.

    Example: skyhooks restart deploy/conf/numbers.conf.py
    """
    engine_of(conf)  # a file that cannot even be read must not cost the process that runs
    pids = pid_file_of(conf, pid_file)
    if record := pids.record():
        overrides = overrides or record.overrides
        log_file = log_file or (Path(record.log) if record.log else None)
    if pids.holder():
        end(conf, pids, grace)
    begin(conf, pids, log_file_of(conf, log_file), overrides)

"""The command that serves a lake over HTTP."""

import hashlib
import os
from pathlib import Path

import click

from phonolake.cli import options
from phonolake.errors import PhonolakeError, UsageError

TOKEN = "PHONOLAKE_TOKEN"
LOCAL = ("localhost", "127.0.0.1", "::1")
# Too long to guess.
SHORTEST = 16
PARTITIONS = "Processes, with a core each, that search a replica's index side by side."


@click.command(epilog=options.example("phonolake serve --lake lake --replicas 2"))
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, metavar="P")
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="A core each.")
@click.option("--partitions", type=click.IntRange(1), default=1, show_default=True, metavar="P", help=PARTITIONS)
@click.option("--queue", type=click.IntRange(1), default=256, show_default=True, metavar="N", help="Waiting requests.")
@click.option("--max-upload-mb", type=click.IntRange(1, 1024), default=30, show_default=True, metavar="MB")
@click.option("--tagger", metavar="NAME", help="Tagger of the model home; by default the newest model of the lake.")
@click.option("--sql", is_flag=True, help="Also answer SELECTs at /sql.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="F", help=f"File with the token, or {TOKEN}.")
@options.licence
@options.lake
def serve(
    host: str,
    port: int,
    replicas: int,
    partitions: int,
    queue: int,
    max_upload_mb: int,
    tagger: str | None,
    sql: bool,
    token_file: Path | None,
    licence: str | None,
    lake: str,
) -> None:
    """Serve neighbours, tags and tracks over HTTP, with Ray Serve."""
    from phonolake.dashboard_launcher import check_port
    from phonolake.lookup import licences, licensed
    from phonolake.models import home
    from phonolake.serve import service
    from phonolake.serve.answers import ServiceConfig

    service.check()
    if tagger is not None:
        licences.check_card(tagger, home.card(tagger), licence)
    token = _token(token_file)
    if token is None and host not in LOCAL:
        raise UsageError(f"others can reach {host}: set {TOKEN} or --token-file, or leave --host out")
    checksum = None if token is None else hashlib.sha256(token.encode()).hexdigest()
    config = ServiceConfig(
        licensed.opened(lake, licence).place,
        sql,
        tagger,
        replicas,
        partitions,
        queue,
        max_upload_mb << 20,
        checksum,
        licence,
    )
    check_port(port)
    with service.serving(config, host=host, port=port):
        click.echo(f"Serving at http://{host}:{port}, documented at /docs; Ctrl-C ends it.", err=True)
        service.wait()


def _token(file: Path | None) -> str | None:
    """The token that requests must carry."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise PhonolakeError(f"the token in {file} cannot be read ({error})") from error
    elif (token := os.environ.get(TOKEN, "").strip()) == "":
        return None
    if len(token) < SHORTEST or not token.isascii() or any(c.isspace() for c in token):
        raise UsageError(f"a token has at least {SHORTEST} ASCII characters without spaces: `openssl rand -hex 32`")
    return token


COMMANDS = (serve,)

"""Fetching sources over the network into the cache."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx2
from huggingface_hub import hf_hub_url, is_offline_mode
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from epa_bench import __version__
from epa_bench.core.errors import Problem, SuiteError, list_problems
from epa_bench.suites.sources import MIRROR_VARIABLE, Source, SourceCache

_TIMEOUT = httpx2.Timeout(30.0)
"""Seconds without a byte."""

_HEADERS = {"User-Agent": f"epa-bench/{__version__}"}


class _NotReachedError(Exception):
    """Why a source could not be downloaded."""


def fetch_sources(cache: SourceCache, sources: Mapping[str, Source], suite: str) -> dict[str, Path]:
    """Every source by its role: from the cache, else the mirror, else the network; progress on stderr.

    Raises SuiteError that names every file that could not be had, after all were tried: what was fetched is kept.
    """
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        httpx2.Client(follow_redirects=True, timeout=_TIMEOUT, headers=_HEADERS) as client,
    ):
        for role, source in sources.items():
            path = cache.find(source)
            if path is None:
                try:
                    _download(client, cache, source, progress)
                except _NotReachedError as error:
                    problem = cache.problem(source)
                    problems.append(Problem(problem.where, f"{problem.what}: {error}"))
                    continue
                except SuiteError as error:
                    problems.append(Problem(source.file_name, str(error)))
                    continue
                console.print(f"{source.file_name}: fetched from {source.address}", markup=False, soft_wrap=True)
            paths[role] = path or cache.path(source)
    if problems:
        raise SuiteError(
            f"{list_problems(problems, f'fetching the sources of suite {suite}')}\n"
            f"Run the same command again where there is a network; what was fetched is kept. Or name a folder that "
            f"holds the files, under any name, with --mirror DIR or {MIRROR_VARIABLE}."
        )
    return paths


def _download(client: httpx2.Client, cache: SourceCache, source: Source, progress: Progress) -> None:
    url = _url(source)

    def write(staged: Path) -> None:
        with client.stream("GET", url) as response, staged.open("wb") as file:
            response.raise_for_status()
            size = response.headers.get("Content-Length", "")
            total = int(size) if size.isdecimal() else source.bytes
            task = progress.add_task(source.file_name, total=total)
            for chunk in _bounded(response.iter_bytes(), source):
                file.write(chunk)
                progress.advance(task, len(chunk))

    try:
        cache.put(source, write, url)
    except httpx2.HTTPStatusError as error:
        raise _NotReachedError(f"{url} answered {error.response.status_code}") from error
    except httpx2.HTTPError as error:
        raise _NotReachedError(f"{type(error).__name__} {error}".strip()) from error


def _bounded(chunks: Iterable[bytes], source: Source) -> Iterable[bytes]:
    """At most a little more than the pinned size, so that an endless answer fills no disk."""
    received = 0
    for chunk in chunks:
        yield chunk
        received += len(chunk)
        if source.bytes is not None and received > source.bytes:
            return


def _url(source: Source) -> str:
    if source.url is not None:
        return source.url
    assert source.hub is not None
    if is_offline_mode():
        raise _NotReachedError("HF_HUB_OFFLINE is set")
    # Honours HF_ENDPOINT. No token is sent: all sources are public.
    return hf_hub_url(source.hub.repo, source.hub.file, repo_type="dataset", revision=source.hub.revision)

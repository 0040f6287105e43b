"""The routes of the service over a lake: who may ask what, and that answers are those of Python."""

import asyncio
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from phonolake.analysis.collection.neighbours import Searcher
from phonolake.serve.answers import LakeAnswers, ServiceAnswer, ServiceConfig
from phonolake.serve.routes import PLAIN_BYTES, application
from phonolake.store.lake import Lake

from ..analysis.made_vectors import add, build

TOKEN = "a token of some length"
UPLOAD_BYTES = 100_000


def client(lake: Lake, **settings: Any) -> TestClient:
    config = ServiceConfig(lake.place, **{"upload_bytes": UPLOAD_BYTES} | settings)
    answers = LakeAnswers(config)

    async def ask(what: str, asked: dict[str, Any]) -> ServiceAnswer:
        return await asyncio.to_thread(answers.answer, what, asked)

    return TestClient(application(ask, config))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.create(tmp_path_factory.mktemp("lakes") / "lake")
    add(lake, range(40), lambda n: f"artist {n % 4}")
    build(lake)
    return lake


@pytest.fixture(scope="module")
def served(lake: Lake) -> Iterator[TestClient]:
    with client(lake, sql=True) as found:
        yield found


def test_neighbours_are_those_of_python(lake: Lake, served: TestClient) -> None:
    with Searcher(lake) as searcher:
        for asked, question in (
            ({"track_id": "m:7"}, {}),
            ({"track_id": "m:7", "k": 3, "where": "year > 2004"}, {"k": 3, "where": "year > 2004"}),
        ):
            found = served.get("/similar", params=asked).json()
            assert [(n["track_id"], n["similarity"], n["title"]) for n in found] == [
                (n.track_id, n.similarity, n.title) for n in searcher.similar("m:7", **question)
            ]
    several = served.get("/similar", params={"track_id": ["m:1", "m:2"], "combine": "best", "per_artist": 1, "k": 40})
    artists = [n["artist"] for n in several.json()]
    assert len(set(artists)) == len(artists) == 4


def test_what_is_published_later_is_found_without_a_restart(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path / "lake")
    add(lake, range(10))
    with client(lake) as served:
        assert len(served.get("/similar", params={"track_id": "m:0", "k": 100}).json()) == 9
        add(lake, range(10, 15))
        assert len(served.get("/similar", params={"track_id": "m:0", "k": 100}).json()) == 14
        assert served.get("/tracks/m:12").json()["title"] == "title 12"


@pytest.mark.parametrize(
    ("path", "params", "status", "says"),
    [
        ("/similar", {"track_id": "m:none"}, 400, "m:none"),
        ("/similar", {"track_id": __file__}, 400, "track"),
        ("/similar", {}, 422, "track_id"),
        ("/similar", {"track_id": "m:1", "k": 0}, 422, "k"),
        ("/similar", {"track_id": "m:1", "where": "yeer = 1"}, 400, "SQL"),
        ("/similar", {"track_id": "m:1", "where": "(SELECT count(*) FROM '/etc/passwd') > 0"}, 400, "SQL"),
        ("/similar", {"track_id": "m:1", "model": "unknown"}, 400, "unknown"),
        ("/similar", {"track_id": "m:1", "start": 5, "end": 2}, 400, "later end"),
        ("/tracks/m:none", {}, 404, "m:none"),
        ("/nothing", {}, 404, "Not Found"),
    ],
)
def test_a_wrong_question_is_told_in_one_line(
    served: TestClient, path: str, params: dict[str, object], status: int, says: str
) -> None:
    answer = served.get(path, params=params)
    assert answer.status_code == status
    assert says in answer.text
    assert "Traceback" not in answer.text
    assert "\n" not in answer.text


def test_files_of_the_machine_are_not_read(served: TestClient, tmp_path: Path) -> None:
    """Not even whether one is there is told."""
    there, missing = tmp_path / "there.wav", tmp_path / "gone.wav"
    there.write_bytes(b"RIFF")
    told = [served.get("/similar", params={"track_id": str(file)}).text for file in (there, missing)]
    assert told[0].replace("there", "") == told[1].replace("gone", "")
    queries = [f"FROM similar('{there}')", f"FROM similar_to_file('{there}')", f"FROM read_text('{there}')"]
    assert [served.post("/sql", json={"query": query}).status_code for query in queries] == [400] * 3


def test_sql_is_answered_where_it_is_allowed(lake: Lake, served: TestClient) -> None:
    query = "SELECT track_id, 'NaN'::DOUBLE AS x FROM tracks ORDER BY year, track_id"
    answer = served.post("/sql", json={"query": query, "rows": 2}).json()
    assert answer == {"columns": ["track_id", "x"], "rows": [["m:0", None], ["m:10", None]], "complete": False}
    assert served.post("/sql", json={"query": "DROP TABLE tracks"}).status_code == 400
    with client(lake) as without:
        assert without.post("/sql", json={"query": query}).status_code == 404


def test_only_who_has_the_token_may_ask(lake: Lake) -> None:
    with client(lake, token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(), sql=True) as served:
        paths = [path for path in served.get("/openapi.json").json()["paths"] if path != "/health"]
        assert {"/similar", "/tag", "/sql", "/metrics", "/tracks/{track_id}"} <= set(paths)
        for path in paths:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                for ask in (served.get, served.post):
                    answer = ask(path, headers=headers)
                    assert answer.status_code == 401
                    assert answer.headers["www-authenticate"] == "Bearer"
        asked = served.get("/similar", params={"track_id": "m:1"}, headers={"Authorization": f"Bearer {TOKEN}"})
        assert len(asked.json()) == 10
        assert served.get("/health").status_code == served.get("/docs").status_code == 200


def test_a_request_that_is_too_large_is_refused(served: TestClient) -> None:
    large = {"file": ("x.mp3", bytes(UPLOAD_BYTES + PLAIN_BYTES))}
    assert served.post("/tag", files=large).status_code == 413
    assert served.post("/sql", json={"query": "x" * PLAIN_BYTES}).status_code == 413

    def unannounced() -> Iterator[bytes]:
        yield from [bytes(10_000)] * math.ceil(PLAIN_BYTES / 10_000 + 1)

    answer = served.post("/sql", content=unannounced(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_an_upload_that_is_no_audio_is_told(served: TestClient) -> None:
    for path in ("/tag", "/similar"):
        answer = served.post(path, files={"file": ("x.mp3", b"no audio")})
        assert answer.status_code == 400
        assert answer.json()["detail"]
    assert served.post("/tag").status_code == 422


def test_requests_are_counted(served: TestClient) -> None:
    def counted() -> float:
        lines = served.get("/metrics").text.splitlines()
        wanted = 'phonolake_requests_total{path="/tracks/{track_id}",status="404"}'
        return float(next((line.split()[-1] for line in lines if line.startswith(wanted)), 0))

    before = counted()
    served.get("/tracks/m:none/of/these")
    assert counted() == before + 1

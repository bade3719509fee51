"""The stage of these tests: databases of their own, settings, and the end of every process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.conftest import MESSAGING

from .databases import Databases
from .stage import Outcome, Play, Stage

_HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests go last and together, whatever order the others have: first those whose
    scenarios are played side by side, then those that want the machine for themselves."""
    ours = [item for item in items if _HERE in item.path.parents]
    others = [item for item in items if _HERE not in item.path.parents]
    items[:] = others + sorted(ours, key=lambda item: _play_of(item) is None)


def _play_of(item: pytest.Item) -> tuple[str, Play] | None:
    """The scenario a test asks for the outcome of, with its full name."""
    if not isinstance(item, pytest.Function) or "outcome" not in item.fixturenames:
        return None
    name = item.callspec.params["name"]
    return f"{item.module.__name__} {name}", item.module.PLAYS[name]


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Stage]:
    """Databases of our own: the test database of the other tests is not touched.

    Scenarios run between tests too, so the settings of tests hold as long as the stage stands.
    """
    with django_db_blocker.unblock(), override_settings(MESSAGING=dict(MESSAGING)):
        databases = Databases(tmp_path_factory.mktemp("databases"))
        yield Stage(databases, tmp_path_factory.mktemp("hosts"))
        databases.drop_all()


@pytest.fixture(scope="package")
def _outcomes(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Mapping[str, Outcome]]:
    """All scenarios that tests were chosen for, begun in the order of the tests."""
    plays = dict(play for item in request.session.items if (play := _play_of(item)))
    with stage.play(plays) as outcomes:
        yield outcomes


@pytest.fixture
def outcome(request: pytest.FixtureRequest, _outcomes: Mapping[str, Outcome]) -> Outcome:
    """How this test's scenario goes; `result()` waits for its end."""
    play = _play_of(request.node)
    assert play is not None
    return _outcomes[play[0]]

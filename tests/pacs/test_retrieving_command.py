"""`intake pull` as an administrator sees it: what would come, what came, and exit code 5 for what did not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_peer import HELD, OddPeer

from monai_xr.pacs import retrieving
from monai_xr.pacs.site import Peer


@pytest.fixture
def configured(odd: Callable[..., tuple[OddPeer, Peer]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OddPeer:
    """A peer with odd habits, and a site that retrieves from it."""
    monkeypatch.setattr(retrieving, "_SETTLE_S", 0.1)
    odd_peer, peer = odd()
    site = {
        "store": {"folder": "store", "min_free_gb": 0},
        "peers": {"pacs": {"ae_title": "ODD", "host": "127.0.0.1", "port": peer.port, "timeout_s": 5}},
        "retrieve": {"peer": "pacs", "method": "c-get", "images_per_minute": 1000000, "tries": 1},
    }
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    return odd_peer


def test_a_dry_run_shows_what_would_come_without_ids_and_fetches_nothing(configured: OddPeer, monai_xr: Any) -> None:
    code, out, err = monai_xr("intake", "pull", "--modality", "DX", "--since", "2024-03-01", "--dry-run")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines.pop() == ["2", "studies"]
    assert [line[1:] for line in lines] == [
        ["DX", "3", "images", "3", "lack", "wanted"],
        ["DX", "1", "images", "1", "lack", "wanted"],
    ]
    assert not any(image.StudyInstanceUID in out for image in HELD)
    assert configured.sent == []
    assert monai_xr("intake", "pull", "--since", "2999-01-01", "--dry-run") == (0, "0 studies\n", "")


def test_what_is_partial_ends_with_5_goes_on_and_may_be_given_up(configured: OddPeer, monai_xr: Any) -> None:
    configured.drops = [1, 9, 9]
    code, out, err = monai_xr("intake", "pull", "--all")
    assert (code, out) == (5, "2 studies complete, 1 partial\n")
    assert "1 studies are partial : pacs : go on with --unfinished, or end with --give-up" in err
    configured.drops = [0]
    assert monai_xr("intake", "pull", "--unfinished")[:2] == (5, "0 studies complete, 1 partial\n")
    configured.drops = [0]
    assert monai_xr("intake", "pull", "--unfinished", "--give-up")[:2] == (0, "0 studies complete, 1 partial\n")
    assert monai_xr("intake", "pull", "--unfinished")[:2] == (0, "0 studies complete, 0 partial\n")
    assert monai_xr("intake", "pull", "--all")[:2] == (0, "3 studies complete, 0 partial\n")
    assert sorted(configured.sent) == sorted(image.SOPInstanceUID for image in HELD)


def test_a_list_of_accession_numbers_chooses(configured: OddPeer, monai_xr: Any, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("accession\nA2\nA3\n")
    assert monai_xr("intake", "pull", "--list", "list.csv")[:2] == (0, "2 studies complete, 0 partial\n")
    assert sorted(configured.sent) == ["1.2.2.1.1", "1.2.3.1.1"]


@pytest.mark.parametrize("options", [(), ("--all", "--modality", "DX"), ("--all", "--unfinished")])
def test_what_is_wanted_must_be_said_once(configured: OddPeer, monai_xr: Any, options: tuple[str, ...]) -> None:
    code, _, err = monai_xr("intake", "pull", *options)
    assert code == 2
    assert "give filters (--list, --since, --modality...), --all or --unfinished" in err
    assert configured.asked == []

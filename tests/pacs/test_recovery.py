"""What a killed process leaves is put in order at the next start."""

import subprocess
import sys

import pytest
from canary import film
from pacs.receiving import add

from monai_xr.errors import HostError
from monai_xr.pacs.recovery import Swept, move_damaged_index, sweep
from monai_xr.pacs.site import Store
from monai_xr.pacs.storing import Known, ObjectStore


@pytest.fixture
def opened(tmp_path):
    stores = []

    def open_store():
        stores.append(ObjectStore(Store(folder=tmp_path / "store", min_free_gb=0)))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


KILLED_WHILE_SPOOLING = """
import os, sys
from pathlib import Path
from monai_xr.pacs.site import Store
from monai_xr.pacs.storing import ObjectStore
store = ObjectStore(Store(folder=Path(sys.argv[1]), min_free_gb=0))
store.spool(sop_class="1.2", sop_uid="1.2.3", transfer_syntax="1.2.840.10008.1.2", sender="X").write(b"half")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_spooled_is_removed_and_that_of_others_left(opened):
    store = opened()
    other = opened()
    mine = other.spool(sop_class="1.2", sop_uid="1.2.3", transfer_syntax="1.2.840.10008.1.2", sender="X")
    subprocess.run([sys.executable, "-c", KILLED_WHILE_SPOOLING, store.folder])
    assert sweep(store) == Swept(parts=1, indexed=0, damaged=0, missing=0)
    assert mine.path.exists()
    mine.discard()


def test_a_file_without_a_row_is_indexed(opened):
    store = opened()
    add(store, film())
    with store.index.change() as connection:
        connection.execute("DELETE FROM objects")
        connection.execute("DELETE FROM studies")
    assert sweep(store).indexed == 1
    (row,) = store.index.objects("1.9.190.1")
    assert (row.sop_uid, row.sender, row.series_uid) == ("1.9.190.3", "CT1", "1.9.190.2")
    assert add(store, film()) == Known()


@pytest.mark.parametrize("keep", [0, 100, 200, 400])
def test_a_cut_file_without_a_row_is_set_aside(opened, keep):
    store = opened()
    add(store, film())
    (path,) = store.objects.rglob("*.dcm")
    path.write_bytes(path.read_bytes()[:keep])
    with store.index.change() as connection:
        connection.execute("DELETE FROM objects")
    assert sweep(store).damaged == 1
    assert not path.exists()
    assert len(list(store.quarantine.glob("damaged-*.dcm"))) == 1


def test_a_lost_file_is_counted(opened):
    store = opened()
    add(store, film())
    next(store.objects.rglob("*.dcm")).unlink()
    assert sweep(store).missing == 1


@pytest.mark.parametrize("damage", [b"no database", b""])
def test_an_index_that_is_damaged_or_empty(opened, tmp_path, damage):
    store = opened()
    for number in range(3):
        add(store, film(SOPInstanceUID=f"1.9.190.3.{number}"))
    store.close()
    for path in (tmp_path / "store").glob("index.db*"):
        path.write_bytes(damage * 1000)
    if damage:
        with pytest.raises(HostError, match=r"the index cannot be used .* : index.db : .*serve --rebuild"):
            opened()
    move_damaged_index(tmp_path / "store")
    again = opened()
    assert sweep(again, rebuilt=True).indexed == 3
    (study,) = again.index.studies()
    assert (study.state, study.objects) == ("quarantined", 3)
    assert "not known" in str(study.reason)


def test_an_index_of_a_newer_program_is_refused(opened, tmp_path):
    store = opened()
    with store.index.change() as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(HostError, match="index of version 99"):
        opened()

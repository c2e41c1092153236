"""Reads, deals and extends the one table of a data folder that says who is in which split, `splits.json`.

Whatever trains, mixes or judges reads the same table, so that a patient who was once trained on is never scored. Who is
new is dealt in beside the others, nobody moves; a new deal is made by `--resplit` alone. A folder whose own tables name
splits is taken at its word. Where a data folder cannot be written to, its table lies in the user's state folder.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai_xr.data.files.locks import locked
from monai_xr.data.files.output import write_text
from monai_xr.data.identifiers import KEY_VARIABLE, key_tag
from monai_xr.data.records import DEALT, FRACTIONS, Records, SplitTable
from monai_xr.data.splits.dealing import check_deal, split_patients
from monai_xr.disk import host_trouble, make_folder
from monai_xr.errors import ConfigurationError, HostError, InputDataError

SPLITS_FILE = "splits.json"
_VERSION = 1


def table_place(root: Path) -> Path:
    """Give the place of the table of a data folder: in it, or in the state folder where it is or was read-only."""
    inside = root / SPLITS_FILE
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    outside = state / "monai_xr" / "splits" / f"{sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]}.json"
    if inside.is_file() or (os.access(root, os.W_OK) and not outside.is_file()):
        return inside
    return outside


def read_table(place: Path, *, any_key: bool = False) -> SplitTable | None:
    """Read a table; None where there is none.

    Args:
        place: Of the file.
        any_key: Whether its ids may be hashed with another key than that of this site.

    Raises:
        InputDataError: It is damaged or of a newer version.
        ConfigurationError: Its ids were hashed with another key: nobody in it could be known again.
    """
    try:
        content: dict[str, Any] = json.loads(place.read_bytes())
        version = content.pop("version")
        table = SplitTable(**{**content, "split_of": {str(k): str(v) for k, v in content["split_of"].items()}})
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"table of splits cannot be read ({error.strerror})", place, "check its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputDataError("table of splits is damaged", place, "get it back, or deal anew with --resplit") from None
    if version != _VERSION:
        raise InputDataError(f"table of splits of version {version}, not {_VERSION}", place, "update monai_xr")
    if not any_key and table.key != key_tag():
        raise ConfigurationError(
            "ids in the table of splits were hashed with another key",
            place,
            f"name the key file in {KEY_VARIABLE}, or deal anew with --resplit",
        )
    return table


def write_table(place: Path, table: SplitTable) -> None:
    """Write a table whole.

    Raises:
        HostError: It cannot be written.
    """
    content = {**vars(table), "split_of": dict(sorted(table.split_of.items())), "version": _VERSION}
    content.pop("digest", None)
    write_text(place, json.dumps(content, indent=0))


def named_table(records: Records) -> SplitTable:
    """Give the table of records that name their splits; those of a prepared folder may have another site's hashes."""
    written = read_table(table_place(records.root), any_key=True) if records.store else None
    return (written or SplitTable({}, key=key_tag())).extended(records)


def dealt(
    records: Records,
    *,
    seed: int | None = None,
    fractions: Mapping[str, float] | None = None,
    no_patients: bool = False,
    resplit: bool = False,
) -> Records:
    """Give each record the split that the table of its folder has for it; who is new is dealt in first.

    Args:
        records: All images of the folder; the splits that they name are overwritten.
        seed: Of the first deal; None is 0 or as dealt.
        fractions: Of the first deal; None is 0.7, 0.1, 0.2 or as dealt.
        no_patients: Lets images of unknown patients be split one by one; once for a folder.
        resplit: Deals anew.

    Raises:
        ConfigurationError: Settings that cannot be; a table of another key.
        InputDataError: Images that cannot be split.
        HostError: The table cannot be written.
    """
    place = table_place(records.root)
    make_folder(place.parent, mode=0o700)
    with host_trouble(place, "check the folder", what="table of splits cannot be written ({})"), locked(place.parent):
        before = None if resplit else read_table(place)
        base = before or new_table(seed, fractions, no_patients=no_patients)
        split = split_patients(
            records,
            seed=base.seed,
            fractions=base.fractions,
            no_patients=no_patients or base.no_patients,
            known=base.split_of,
        )
        after = replace(base.extended(split.records), no_patients=no_patients or base.no_patients)
        if after != before:
            write_table(place, after)
    return replace(split.records, table=after, notes=(*records.notes, *split.notes))


def new_table(seed: int | None, fractions: Mapping[str, float] | None, *, no_patients: bool) -> SplitTable:
    """Give an empty table that is to be dealt.

    Raises:
        ConfigurationError: Fractions or a seed that cannot be.
    """
    check_deal(fractions or FRACTIONS, seed or 0)
    return SplitTable({}, DEALT, seed or 0, dict(fractions or FRACTIONS), no_patients, key_tag())


def check_same_deal(before: SplitTable | None, seed: int | None, fractions: Mapping[str, float] | None) -> None:
    """Refuse settings that a deal of before did not have.

    Raises:
        ConfigurationError: Naming the setting.
    """
    for name, wanted in (("seed", seed), ("fractions", fractions)):
        if before and before.rule == DEALT and wanted is not None and wanted != getattr(before, name):
            raise ConfigurationError(
                f"the splits were dealt with another {name} ({getattr(before, name)})",
                name,
                f"leave --{name} out, or deal anew with --resplit",
            )

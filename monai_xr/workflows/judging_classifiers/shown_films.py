"""Chooses films that a classifier told right and wrong, and draws them for a page: `right_and_wrong`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_xr.data.images.overlay import data_uri, side_by_side
from monai_xr.errors import ConfigurationError
from monai_xr.inferers.attention import look_map
from monai_xr.metrics.classification import Answers
from monai_xr.networks.vit import XrayClassifier
from monai_xr.transforms.dataset import XrayDataset

_EACH = 6  # films of a group
_SIDE = 360  # pixels


@dataclass(frozen=True)
class ShownFilm:
    """A film on a page: its picture, what the classifier says, and how the film is called."""

    picture: str
    says: str
    name: str


def right_and_wrong(
    answers: Answers, films: XrayDataset, network: XrayClassifier, classes: Sequence[str]
) -> dict[str, list[ShownFilm]]:
    """Give the films for and against each of some classes that were told right and wrong, the surest answers first.

    Args:
        answers: On all films, in their order.
        films: The films.
        network: Gives the maps; in evaluation mode.
        classes: To show.
    """
    shown = {}
    for name in classes:
        place = answers.classes.index(name)
        for heading, chosen in _groups(answers, place, several=len(classes) > 1):
            if places := chosen[:_EACH]:
                says = [f"{name} {float(answers.probabilities[film, place]):.2f}" for film in places]
                many = f"the surest {len(places)} of {len(chosen)}" if len(chosen) > len(places) else f"{len(chosen)}"
                shown[f"{heading.format(name=name)} ({many})"] = film_cards(films, network, places, says)
    return shown


def film_cards(
    films: XrayDataset, network: XrayClassifier, places: Sequence[int], says: Sequence[str]
) -> list[ShownFilm]:
    """Give films as pictures, each beside itself with a map over it of where the network looked."""
    images = torch.stack([films[place]["image"] for place in places])
    try:
        maps: list[Tensor | None] = list(look_map(network.cpu(), images))
    except ConfigurationError:  # a network that has none
        maps = [None] * len(places)
    return [
        ShownFilm(
            picture=data_uri(side_by_side(films.film(place), None if look is None else look.numpy(), most=_SIDE)),
            says=said,
            name=films.cache.records[place].shown,
        )
        for place, look, said in zip(places, maps, says, strict=True)
    ]


def _groups(answers: Answers, place: int, *, several: bool) -> Iterator[tuple[str, list[int]]]:
    """Give headings with the films below them, the surest first; of several classes only what is missed of each."""
    truth, said = answers.targets[:, place], answers.positive[:, place]
    order = answers.probabilities[:, place].argsort(descending=True)
    for heading, is_there, says_so in (
        ("{name} missed", 1, False),
        ("Taken for {name}, without it", 0, True),
        ("{name} found", 1, True),
        ("Cleared of {name}", 0, False),
    ):
        chosen = [int(film) for film in order if truth[film] == is_there and bool(said[film]) == says_so]
        if not (several and not is_there and not says_so):
            yield heading, chosen if says_so else chosen[::-1]

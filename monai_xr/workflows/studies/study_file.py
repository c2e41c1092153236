"""Reads a study file into checked models, `Study` with its arms and sizes; evaluates nothing in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from monai_xr.data.files.typed_file import Bad, Section, parse_model
from monai_xr.errors import ConfigurationError

PLAN = "plan"  # the one size that a plan has
SAMPLERS = ("copies", "noise", "held back")  # what is added without a generator
REAL_ONLY, DUPLICATES = "real only", "duplicates"  # arms that others are compared with
_EXPRESSION = ("$", "@", "%")
_SEE = "see configs/experiments/augmentation.yaml"
Positive = Annotated[int, Field(ge=1)]
Knob = bool | int | float | str | list[Any] | dict[str, Any] | None


def _refuse_expressions(value: Any) -> None:
    """Refuse texts that MONAI would take for expressions, at any depth."""
    if isinstance(value, str) and value.startswith(_EXPRESSION):
        raise Bad("expression", "expressions are not read: {text}", {"text": repr(value[:40])})
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        _refuse_expressions(part)


class Generator(Section):
    """A GAN of the study.

    Args:
        bundle: Its bundle.
        overlays: Config files beside its train.yaml.
        aiin: What its training films go through, as in `make_aiin`; arms that take its images treat all films so.
        classes: Whether it learns the rare class alone, or both, as a conditional one must.
        knobs: Settings of the bundle.
    """

    bundle: str
    overlays: tuple[str, ...] = ()
    aiin: Knob = "none"
    classes: Literal["rare", "both"] = "rare"
    knobs: dict[str, Knob] = Field(default_factory=dict)


class Arm(Section):
    """One way to train the classifiers.

    Args:
        role: A baseline, an arm with synthetic films, a control whose result is known beforehand, or the ceiling.
        added: What is added to the films of the rare class: the name of a generator, copies, noise, held back (real
            films of further patients), or nothing.
        ratio: Added films for each real one of the rare class.
        other_class: Whether the added images stand for the other class, but are labelled as the rare one.
        select: How the added ones are chosen among more.
        use: Whether added films are mixed in, or trained on first and the real ones after that.
        balance: None, weights of the loss, or draws that show both classes equally often.
        augment: Whether films are altered anew each time they are shown.
        aiin: What all films go through where no generator says; as in `make_aiin`.
        labels: As given, or dealt at random.
        weights: Whether the network starts from scratch or from the pinned ImageNet weights.
    """

    role: Literal["baseline", "synthetic", "control", "ceiling"]
    added: str = ""
    ratio: Annotated[float, Field(gt=0)] = 1.0
    other_class: bool = False
    select: Literal["none", "consistency", "distance", "diversity"] = "none"
    use: Literal["mix", "pretrain"] = "mix"
    balance: Literal["none", "weights", "sampling"] = "none"
    augment: Literal["none", "classical"] = "none"
    aiin: Knob = "none"
    labels: Literal["given", "shuffled"] = "given"
    weights: Literal["scratch", "lite0"] = "scratch"


class Size(Section):
    """How large a study is.

    Args:
        phantoms: Phantom patients to make instead of reading a data folder; 0 for none.
        second_phantoms: Of a second scanner, as a test set of another source.
        positive: The rare class, where it is not that of the study.
        negative: The other class.
        image_size: Pixels on a side, of generators and classifiers.
        counts: Films of the rare class that are trained on.
        seeds: Repetitions, each with patients, generators and classifiers of its own.
        gan_steps: Steps of each generator.
        batch_size: Of the generators.
        checkpoints: Of each generator that are kept, evenly spaced; with 1 the last one is taken.
        choose_by: What one of several is chosen by, on films of train and validation: the least distance, the highest
            share, or AUROC of the frozen features on validation when they train with its images.
        knobs: Settings of generators by name, over their own.
        network: timm name of the network that is trained.
        network_steps: Optimiser steps of every arm.
        network_batch: Films in a step.
        pairs: Pairs that are compared for likeness.
        most_rare: Films of the rare class of the split train that repetitions draw from; fewer cost less.
        most_negatives: Films of the other class that are trained on.
        only: Arms to run; all where it is empty.
    """

    phantoms: Annotated[int, Field(ge=0)] = 0
    second_phantoms: Annotated[int, Field(ge=0)] = 0
    positive: str = ""
    negative: str = ""
    image_size: Annotated[int, Field(ge=16, le=512)] = 64
    counts: tuple[Positive, ...]
    seeds: Positive = 3
    gan_steps: Positive = 1000
    batch_size: Positive = 32
    checkpoints: Positive = 1
    choose_by: Literal["kid", "fid", "recall", "coverage", "validation"] = "kid"
    knobs: dict[str, dict[str, Knob]] = Field(default_factory=dict)
    network: str = "resnet10t"
    network_steps: Annotated[int, Field(ge=0)] = 300
    network_batch: Positive = 32
    pairs: Positive = 300
    most_rare: Positive = 100000
    most_negatives: Positive = 100000
    only: tuple[str, ...] = ()


class Study(Section):
    """The file.

    Args:
        question: What the study asks, as a sentence.
        dataset_dir: Any of the three kinds of data folder, or a prepared one.
        positive: The rare class, whose films are counted, added and generated.
        negative: The other class.
        features: Feature space of the frozen features: lite0, or random.
        resplit: Deals new splits by patient where the data names some.
        allow_duplicates: Lets a film and its copy be in two splits.
        no_patients: Lets films of unknown patients be split one by one.
        accept_phantoms: Lets phantoms count as films.
        generators: By name.
        arms: By name; one of them is called "real only", another "duplicates".
        sizes: By name.
    """

    question: str
    dataset_dir: str = ""
    positive: str
    negative: str
    features: Literal["lite0", "random"] = "lite0"
    resplit: bool = False
    allow_duplicates: bool = False
    no_patients: bool = False
    accept_phantoms: bool = False
    generators: dict[str, Generator] = Field(default_factory=dict)
    arms: dict[str, Arm]
    sizes: dict[str, Size]

    @field_validator("*", mode="before")
    @classmethod
    def _plain_values(cls, value: Any) -> Any:
        _refuse_expressions(value)
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> "Study":
        for name, arm in self.arms.items():
            self._check_arm(name, arm)
        for needed in (REAL_ONLY, DUPLICATES, *(name for size in self.sizes.values() for name in size.only)):
            if needed not in self.arms:
                raise Bad("arms", "there is no arm called {name}", _told(needed))
        return self

    def _check_arm(self, name: str, arm: Arm) -> None:
        known = (*SAMPLERS, *self.generators)
        if arm.added and arm.added not in known:
            raise Bad("added", "arm {name} adds {what}; known: {known}", _told(name, arm.added, known))
        if (arm.other_class or arm.use == "pretrain") and arm.added not in self.generators:
            raise Bad("added", "arm {name} needs a generator, not {what}", _told(name, arm.added or "nothing"))
        if arm.other_class and self.generators[arm.added].classes != "both":
            raise Bad("classes", "arm {name} needs a generator of both classes", _told(name))


def _told(name: str, what: str = "", known: Sequence[str] = ()) -> dict[str, Any]:
    return {"name": repr(name), "what": repr(what), "known": ", ".join(known)}


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        ConfigurationError: It is not there, or a key or value in it cannot be.
    """
    try:
        return parse_model(Study, path.read_bytes(), path, _SEE)
    except OSError as error:
        raise ConfigurationError(f"study file cannot be read ({error.strerror})", path, _SEE) from None

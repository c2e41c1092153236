import math

import pytest
import torch

from monai_xr.errors import ConfigurationError, InputDataError, ModelError
from monai_xr.inferers.decision import Decision, choose_threshold, decide, entropy, fit_temperature

TWO = ("NORMAL", "PNEUMONIA")
NAN = float("nan")


def logits_of(probabilities):
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([torch.zeros_like(p), torch.logit(p)], 1)


def one_hot(truth):
    return torch.eye(2, dtype=torch.float64)[torch.tensor(truth)]


def test_temperature_gives_the_confidence_that_is_right():
    # 3 of 4 films are right at log-odds 4: calibrated is log-odds ln 3, so the temperature is 4 / ln 3
    logits = torch.tensor([[0.0, 4.0]] * 4, dtype=torch.float64)
    assert fit_temperature(logits, one_hot([1, 1, 1, 0]), multi_label=False) == pytest.approx(4 / math.log(3), rel=1e-4)


def test_temperature_of_findings_leaves_unknown_ones_out():
    logits = torch.tensor([[4.0, 9.0]] * 4, dtype=torch.float64)
    targets = torch.tensor([[1.0, NAN], [1.0, NAN], [1.0, NAN], [0.0, NAN]], dtype=torch.float64)
    assert fit_temperature(logits, targets, multi_label=True) == pytest.approx(4 / math.log(3), rel=1e-4)


SCORES = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
TRUTH = torch.tensor([0, 0, 0, 1, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("kind", "least", "threshold"),
    [
        ("youden", 0, 0.35),  # sensitivity 1, specificity 3/4; 0.55 is as good, and the other one of two
        ("specificity", 0.9, 0.55),
        ("specificity", 0.75, 0.35),
        ("sensitivity", 0.9, 0.35),
        ("sensitivity", 0.5, 0.55),
    ],
)
def test_thresholds_by_hand(kind, least, threshold):
    assert choose_threshold(SCORES, TRUTH, kind, least) == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("rule", "achieved"),
    [("sensitivity:0.95", ("sensitivities", 0.95)), ("specificity:0.95", ("specificities", 0.95))],
)
def test_a_rule_holds_for_its_class_and_never_says_yes_to_both(rule, achieved):
    draw = torch.Generator().manual_seed(0)
    truth = (torch.arange(400) % 4 == 0).long()
    logits = torch.stack([torch.zeros(400), torch.randn(400, generator=draw) + 1.5 * truth], 1).double()
    decision = decide(logits, torch.eye(2, dtype=torch.float64)[truth], TWO, rule=rule, abstain=0)
    assert decision.positive == "PNEUMONIA"
    assert sum(decision.thresholds) == pytest.approx(1)
    probabilities = decision.probabilities(logits)
    answers = decision.answers(probabilities)
    assert all(sorted(row) == ["no", "yes"] for row in answers)
    said = decision.predicted(probabilities)
    assert [row.index("yes") for row in answers] == said.tolist()
    name, least = achieved
    positive = truth == int(name == "sensitivities")
    right = (said[positive] == truth[positive]).double().mean().item()
    assert least <= right < least + 0.02
    assert getattr(decision, name)[1] == pytest.approx(right)
    assert f"{right:.3f}" in decision.operating_text()
    other = decide(logits, torch.eye(2, dtype=torch.float64)[truth], TWO, rule=f"{rule}@NORMAL", abstain=0)
    assert other.positive == "NORMAL"
    assert getattr(other, name)[0] >= least


def test_of_three_classes_one_has_the_threshold_and_the_likeliest_other_is_the_rest():
    three = ("NORMAL", "BACTERIAL", "VIRAL")
    probabilities = torch.tensor([[0.1, 0.3, 0.6], [0.5, 0.3, 0.2], [0.3, 0.35, 0.35], [0.2, 0.6, 0.2]])
    decision = Decision(three, False, 1.0, (0.75, 0.25, 0.75), (0.0, 0.0, 0.0), "youden", 9, positive="BACTERIAL")
    assert decision.predicted(probabilities).tolist() == [1, 1, 1, 1]
    strict = Decision(three, False, 1.0, (0.5, 0.5, 0.5), (0.1, 0.1, 0.1), "youden", 9, positive="BACTERIAL")
    assert strict.predicted(probabilities).tolist() == [2, 0, 2, 1]
    near = strict.answers(torch.tensor([[0.2, 0.49, 0.31], [0.2, 0.9, 0.0]]))
    assert near == [["no", "unsure", "unsure"], ["no", "yes", "no"]]


def test_a_rule_without_a_positive_class_asks_for_one():
    logits, truth = logits_of([0.1, 0.6, 0.4, 0.9]), one_hot([0, 0, 1, 1])
    with pytest.raises(ConfigurationError, match=r"name the positive one, as in sensitivity:0.9@TB"):
        decide(logits, truth, ("COVID", "TB"), rule="sensitivity:0.9")
    with pytest.raises(ConfigurationError, match=r"no class 'X' : threshold_rule : one of: COVID, TB"):
        decide(logits, truth, ("COVID", "TB"), rule="youden@X")
    assert decide(logits, truth, ("COVID", "Normal"), rule="sensitivity:0.9").positive == "COVID"


def test_youden_of_three_classes_is_refused_where_none_is_named():
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [1, 0, 0]], dtype=torch.float64)
    truth, three = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]], ("BACTERIAL", "NORMAL", "VIRAL")
    with pytest.raises(ConfigurationError, match="rule of youden for the classes BACTERIAL, NORMAL, VIRAL"):
        decide(logits, truth, three)
    with pytest.raises(ConfigurationError, match="name the positive one, as in youden@VIRAL"):
        decide(logits, truth, three)
    assert decide(logits, truth, three, rule="youden@BACTERIAL").positive == "BACTERIAL"


def test_youden_of_two_findings_is_the_same_whichever_is_the_positive_one():
    draw = torch.Generator().manual_seed(1)
    truth = (torch.arange(60) % 3 == 0).long()
    logits = torch.stack([torch.zeros(60), torch.randn(60, generator=draw) + 2 * truth], 1).double()
    one = decide(logits, torch.eye(2, dtype=torch.float64)[truth], ("COVID", "TB"))
    other = decide(logits.flip(1), torch.eye(2, dtype=torch.float64)[truth].flip(1), ("TB", "COVID"))
    points = [
        each.sensitivities[each.classes.index("TB")] + each.specificities[each.classes.index("TB")]
        for each in (one, other)
    ]
    assert points[0] == pytest.approx(points[1])


def test_a_decision_of_before_is_read_with_the_last_class_as_the_positive_one():
    plain = decide(logits_of([0.1, 0.6, 0.4, 0.9]), one_hot([0, 0, 1, 1]), TWO).as_dict()
    for name in ("positive", "sensitivities", "specificities"):
        del plain[name]
    decision = Decision.from_dict(plain)
    assert decision.predicted(torch.tensor([[0.05, 0.95], [0.95, 0.05]])).tolist() == [1, 0]
    assert "Not recorded" in decision.operating_text()


def test_two_classes_give_one_boundary():
    decision = decide(logits_of([0.1, 0.2, 0.45, 0.9, 0.4, 0.95]), one_hot([0, 0, 0, 1, 1, 1]), TWO, abstain=0)
    probabilities = decision.probabilities(logits_of(torch.linspace(0.02, 0.98, 49).tolist()))
    predicted = decision.predicted(probabilities)
    assert (predicted.diff() >= 0).all()  # one change, from the one class to the other
    assert set(predicted.tolist()) == {0, 1}


def test_the_band_takes_its_share_of_validation_films_and_answers_unsure():
    torch.manual_seed(0)
    truth = torch.arange(400) % 2
    logits = torch.stack([torch.zeros(400), torch.randn(400) + 2 * truth - 1], 1).double()
    decision = decide(logits, torch.eye(2, dtype=torch.float64)[truth], TWO, abstain=0.25)
    answers = decision.answers(decision.probabilities(logits))
    assert sum(row[1] == "unsure" for row in answers) == pytest.approx(100, abs=1)
    far = decision.answers(torch.tensor([[0.999, 0.001], [0.001, 0.999]]))
    assert far == [["yes", "no"], ["no", "yes"]]


def test_entropy_by_hand():
    even, sure = torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])
    assert entropy(even, multi_label=False).tolist() == [1.0]
    assert entropy(sure, multi_label=False).tolist() == [0.0]
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert entropy(torch.tensor([[0.25, 0.5]]), multi_label=True)[0].tolist() == pytest.approx([quarter, 1.0])


def test_decision_survives_being_written():
    decision = decide(logits_of([0.1, 0.6, 0.4, 0.9]), one_hot([0, 0, 1, 1]), TWO, rule="specificity:0.5")
    assert Decision.from_dict(decision.as_dict()) == decision
    with pytest.raises(ModelError, match="no decision of a classifier"):
        Decision.from_dict({"thresholds": [0.5]})


@pytest.mark.parametrize("rule", ["best", "specificity", "sensitivity:1.5", "specificity:much", "youden:0.5"])
def test_unknown_rules(rule):
    with pytest.raises(ConfigurationError, match=r"unknown rule .* : threshold_rule : youden, specificity:0.9"):
        decide(logits_of([0.1, 0.9]), one_hot([0, 1]), TWO, rule=rule)


def test_validation_of_one_class_is_refused():
    with pytest.raises(InputDataError, match="validation films do not differ in NORMAL"):
        decide(logits_of([0.1, 0.9]), one_hot([1, 1]), TWO)

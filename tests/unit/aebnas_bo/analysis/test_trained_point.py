from aebnas_bo.analysis.trained_point import TrainedPoint, by_training, nearest_trained, trained_range, trained_text

SHORT = TrainedPoint("a", "short", 20, 90.0, 1.0)
SHORTER = TrainedPoint("a", "short", 8, 80.0, 2.0)
FINAL_CHEAP, FINAL = TrainedPoint("a", "final", 10, 91.0, 0.5), TrainedPoint("a", "final", 10, 93.25, 1.98765)
OTHER = TrainedPoint("b", "final", 300, 99.0, 2.0)


def test_the_final_training_nearest_in_macs_is_shown() -> None:
    assert nearest_trained([OTHER, SHORT, FINAL_CHEAP, FINAL, SHORTER], "a", 1.9) == FINAL
    assert nearest_trained([OTHER, SHORT, FINAL_CHEAP, FINAL, SHORTER], "a", 0.6) == FINAL_CHEAP


def test_the_longest_short_training_stands_in() -> None:
    assert nearest_trained([SHORTER, SHORT, OTHER], "a", 2.0) == SHORT
    assert nearest_trained([OTHER], "a", 2.0) is None


def test_texts_say_how_a_network_was_trained() -> None:
    assert (SHORT.training, FINAL.training) == (
        "short training, 20 epochs",
        "trained to the end, 10 epochs",
    )
    assert trained_text(FINAL) == "93.25 at 1.9876, 10 epochs"
    assert trained_text(SHORT) == "90.00 at 1.0000, 20 epochs (short)"
    assert trained_text(None) == "–"


def test_only_networks_trained_to_the_end_lower_the_range() -> None:
    assert trained_range([SHORTER, FINAL], 95.0, 96.0) == (93.25, 96.0)
    assert trained_range([SHORTER, OTHER], 95.0, 96.0) == (95.0, 99.0)
    assert trained_range([], 95.0, 96.0) == (95.0, 96.0)


def test_trainings_are_in_order_of_what_they_are_for() -> None:
    plain = TrainedPoint("plain-3", "plain", 10, 91.0, 0.5)
    assert by_training([plain, FINAL, SHORT, SHORTER]) == {
        "short training, 8 epochs": [SHORTER], "short training, 20 epochs": [SHORT],
        "trained to the end, 10 epochs": [FINAL], "plain network, trained to the end, 10 epochs": [plain],
    }  # fmt: skip

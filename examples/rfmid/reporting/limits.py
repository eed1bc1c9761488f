"""What the figures of a report do not say, in sentences that follow from the run."""

from __future__ import annotations

from examples.rfmid.reporting.record import RunRecord

_FEW_POSITIVES = 10


def limits(record: RunRecord) -> list[str]:
    """Return one sentence or two for each limit."""
    return [
        _where(record),
        (
            "The test images serve to report, not to choose: who picks settings by these figures "
            "needs other images to report on."
        ),
        _threshold_support(record),
        (
            "The validation images chose the epoch as well as the thresholds, so figures on them "
            "flatter twice."
        ),
        _scores(record),
        _independence(record),
        "This is not a medical device.",
    ]


def _where(record: RunRecord) -> str:
    kind = "drawings" if record.drawn else "images"
    folder = record.config.data.folder.resolve().name
    return (
        f"Measured on the {record.evaluation['n_images']['test']} test {kind} in `{folder}`. "
        "Another camera, clinic or population was not tested, and prevalence there moves precision."
    )


def _threshold_support(record: RunRecord) -> str:
    support = dict(zip(record.codes, record.thresholds.support.tolist(), strict=True))
    few = ", ".join(code for code, n in support.items() if 0 < n < _FEW_POSITIVES)
    none = ", ".join(code for code, n in support.items() if n == 0)
    sentences = [
        (
            f"Validation positives that chose a threshold: from {min(support.values())} "
            f"({min(support, key=support.__getitem__)}) to {max(support.values())} "
            f"({max(support, key=support.__getitem__)})."
        )
    ]
    if few:
        sentences.append(
            f"With fewer than {_FEW_POSITIVES} a threshold is largely luck, here for {few}."
        )
    if none:
        sentences.append(f"With none, nothing could be chosen by: {none}.")
    return " ".join(sentences)


def _scores(record: RunRecord) -> str:
    distorted = ["a focal loss"]
    if record.config.loss.pos_weight:
        distorted.append("weighted positives")
    if record.config.training.sampler and not record.config.training.importance_weights:
        distorted.append("a sampler that favours rare diseases")
    trained = f"Scores come from a network trained with {', '.join(distorted)}."
    if record.members:
        return (
            f"Scores are means over {len(record.members)} networks, the first trained with "
            f"{', '.join(distorted)}. A mean of probabilities is less sure of itself than each of "
            "them; the section on probabilities shows what it is worth."
        )
    if not record.config.loss.link:
        return f"{trained} They are not calibrated: a score of 0.6 is not a chance of 60 %."
    if record.config.training.sampler and not record.config.training.importance_weights:
        return (
            f"{trained} The link takes the loss's distortion out, not the sampler's: rare diseases "
            "get too high a probability, as the section on probabilities shows."
        )
    return (
        f"{trained} The link takes that distortion out for a network that has learned all there is "
        "to learn; the section on probabilities shows how far this one has."
    )


def _independence(record: RunRecord) -> str:
    images = record.evaluation["n_images"]["test"]
    patients = record.evaluation["n_patients"]["test"]
    if patients is None:
        return (
            "Intervals suppose independent images; with several of a patient they are too narrow."
        )
    if patients == images:
        return "Intervals suppose independent images; here each is of another patient."
    return (
        f"The {images} test images are of {patients} patients; intervals take patients for the "
        "independent units, which for rates is approximate."
    )

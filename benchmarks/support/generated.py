"""Stand-in rows for machines without the real data: random words, lengths as real texts have them, learnable labels."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_COMMON_WORDS = (
    "the a of and to in it is that was for on with as this at but they be have not or from one had by what all were "
    "when there can an your which their said if do will each about how up out them then she many some so these would "
    "other into has more her two like him see time could no make than first been its who now people my made over did "
    "down only way find use may water long little very after words called just where most know get through back much "
    "before go good new write our used me man too any day same right look think also around another came come work"
)
_TOPIC_WORDS = {
    "negative": "dull awful tedious broken rude stale boring waste bland dreadful clumsy lifeless noisy cold",
    "positive": "superb moving fresh warm brilliant delicious honest funny lovely graceful friendly sharp",
    "neutral": "average usual ordinary middling fine okay fair plain standard acceptable decent passable",
    "entity": "animal colour instrument language currency sport food plant vehicle product",
    "human": "who president author inventor actor singer painter captain queen founder",
    "description": "why define meaning reason origin explain describe manner purpose cause",
    "numeric": "many year date distance weight age percent speed temperature population",
    "location": "where city country mountain river capital island street state continent",
    "abbreviation": "abbreviation acronym stands letters initials short expansion abbreviated",
    "0": "Mr Owen Karl Thomas William Patrick James Johan Edward",
    "1": "Mrs Miss Mary Anna Elizabeth Margaret Helen Alice Catherine",
}


@dataclass(frozen=True)
class Shape:
    """Labels with their shares, and the length of texts in words (log-normal through two quantiles)."""

    labels: Mapping[str, float]
    median_words: float
    percentile_95_words: float
    topical: float = 0.15
    """Share of words that tell of the label."""


def texts_and_labels(shape: Shape, rows: int, seed: int) -> tuple[list[str], list[str]]:
    """Random rows; the same seed gives the same rows."""
    rng, common = random.Random(seed), _COMMON_WORDS.split()
    labels = rng.choices(list(shape.labels), list(shape.labels.values()), k=rows)
    topical = {label: _TOPIC_WORDS[label].split() for label in shape.labels}
    return [_text(shape, label, common, topical, rng) for label in labels], labels


def unseen(texts: Sequence[str], seed: int) -> list[str]:
    """Each text with a few words of its own in front, so that no store has it and its length hardly changes."""
    rng, common = random.Random(seed), _COMMON_WORDS.split()
    return [f"{rng.choice(common)} {rng.choice(common)} {rng.randrange(1 << 30):x} {text}" for text in texts]


def _text(
    shape: Shape, label: str, common: Sequence[str], topical: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    sigma = math.log(shape.percentile_95_words / shape.median_words) / 1.645
    words = []
    for _ in range(max(2, round(rng.lognormvariate(math.log(shape.median_words), sigma)))):
        if rng.random() < shape.topical:
            topic = label if rng.random() < 0.7 else rng.choice(list(topical))
            words.append(rng.choice(topical[topic]))
        else:
            words.append(rng.choice(common))
    return " ".join(words)

"""Writes the quickstart's sample: 600 made-up product reviews with a price, a category and a verdict.

Run `python -m examples.quickstart.sample` to write `reviews.csv` again; the seed makes it the same file.
"""

import csv
import random
from pathlib import Path

PRODUCTS = {
    "kitchen": ["kettle", "blender", "frying pan", "bread knife", "coffee grinder", "toaster"],
    "garden": ["hose", "lawn mower", "pair of shears", "watering can", "rake", "greenhouse"],
    "travel": ["suitcase", "backpack", "neck pillow", "adapter", "rain jacket", "water bottle"],
    "audio": ["headset", "speaker", "microphone", "record player", "radio", "pair of earbuds"],
}
PRAISE = [
    "does exactly what it promises",
    "still works like new after a year",
    "made my mornings so much easier",
    "feels solid and looks lovely",
    "was worth every cent",
    "surprised me with how quiet it is",
    "is the best present I have given in years",
    "arrived early and was perfectly packed",
]
BLAME = [
    "broke on the second day",
    "smells of burnt plastic",
    "never worked properly",
    "is far too loud to live with",
    "fell apart in my hands",
    "looks nothing like the pictures",
    "was a complete waste of money",
    "arrived late with half of the parts missing",
]
GOOD_ENDS = [
    "I would buy it again.",
    "My whole family uses it.",
    "Highly recommended!",
    "Five stars from me.",
    "No complaints.",
]
BAD_ENDS = ["I sent it back.", "Avoid it.", "Support never answered.", "I want a refund.", "Very disappointed."]
MIXED = [
    "The manual is short,",
    "The box was dented,",
    "I was sceptical at first,",
    "The colour is a matter of taste,",
    "",
]


def review(generator: random.Random) -> dict[str, str]:
    """One made-up review; dear things are judged a little more harshly."""
    category = generator.choice(list(PRODUCTS))
    product = generator.choice(PRODUCTS[category])
    price = round(generator.lognormvariate(3.4, 0.7), 2)
    good = generator.random() < (0.62 if price < 60 else 0.4)
    verdict = generator.choice(PRAISE if good else BLAME)
    start = generator.choice(MIXED)
    joint = f"{start} {'but' if good else 'and'} this" if start else "This"
    end = generator.choice(GOOD_ENDS if good else BAD_ENDS) if generator.random() < 0.7 else ""
    text = f"{joint} {product} {verdict}. {end}".strip()
    return {"review": text, "price": f"{price:.2f}", "category": category, "recommended": "yes" if good else "no"}


def main() -> None:
    """Writes the file."""
    generator = random.Random(7)
    path = Path(__file__).with_name("reviews.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["review", "price", "category", "recommended"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(review(generator) for _ in range(600))


if __name__ == "__main__":
    main()

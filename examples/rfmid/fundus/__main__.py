"""``python -m examples.rfmid.fundus --root FOLDER``: draw the data set."""

import tyro

from .dataset import generate_dataset

if __name__ == "__main__":
    tyro.cli(generate_dataset)

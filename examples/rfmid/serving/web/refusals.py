"""Why a photograph has no findings, in words for whoever sent it."""

from __future__ import annotations

import json


class Refusal(Exception):  # noqa: N818  (often nobody's error)
    """What is answered instead of findings.

    Attributes
    ----------
    status
        Of HTTP.
    kind
        One word for programs.
    words
        A sentence or two for people.
    """

    def __init__(self, status: int, kind: str, words: str) -> None:
        super().__init__(words)
        self.status, self.kind, self.words = status, kind, words

    def to_json(self) -> bytes:
        """Return the body of the answer."""
        content = {"format": "rfmid.refusal", "version": 1, "kind": self.kind, "error": self.words}
        return json.dumps(content).encode()

"""A network of your own, in netem's words.

    link("two rooms away", delay="20ms", jitter="5ms", loss="3%")
    link("in bursts", delay="40ms", gemodel={"p": "4%", "r": "33%"})

The words are those of the files in `netem/profiles` and of tc-netem(8). This module only writes
them down; `labkit.words.profile` reads them and complains.
"""

import json

from labkit.words.profile import Profile, parse_profile

Word = str | int | dict[str, str]


def link(name: str = "my network", **words: Word) -> Profile:
    """A network that does the same in both directions. `BadInput` for a word that is none."""
    lines = [f"{word} = {_toml(value)}" for word, value in words.items()]
    head = f"title = {json.dumps(name)}\nsource = 'made by hand'\n[both]\n"
    return parse_profile(head + "\n".join(lines), name)


def _toml(value: Word) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)

"""One sentence in place of the box in which tyro draws an error: what is wrong, the value, what is allowed."""

import re
import textwrap

BOX_DRAWING = re.compile(r"[─-╿]")
# What tyro explains under its first sentence: the argument's own help, and where the rest is.
EXPLANATION = re.compile(r"\s*(?:Argument helptext:|For full helptext).*", re.DOTALL)
# Arguments are listed by their names, indented by four spaces; their help lies deeper.
LISTED = re.compile(r"^ {4}(?=\S)(.*)$", re.MULTILINE)
CHOICE = re.compile(r"invalid choice (.*) for argument '(\S+)'\. Expected one of (.*)\.")
POSITIONAL = re.compile(r"Missing value for argument '([^-']+)'")
QUOTED = r"'([^']*)'"
REWRITTEN = (
    (r"Error parsing (\S+): could not convert string to float: (.*)", r"\1 must be a number, not \2"),
    (r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)", r"\1 must be a whole number, not \2"),
    (r"Error parsing (\S+): (.*)", r"\1: \2"),
    (r"Missing value for argument '(\S+)'\. Expected 1 values", r"\1 needs a value"),
    (r"Missing value for argument '(\S+)'\. Expected (.+) values", r"\1 needs \2 values"),
)  # fmt: skip


def one_sentence(box: str) -> str:
    """Return the sentence of an error that tyro drew in a box wide enough to break no line."""
    lines = [BOX_DRAWING.sub("", line).rstrip() for line in box.splitlines()]
    # Where the terminal's encoding has no box characters, tyro rules its lines with hyphens.
    body = textwrap.dedent("\n".join(line for line in lines if line.strip(" -")).partition("\n")[2])
    # Its title ("Invalid choice") says less than the sentence under it.
    text = EXPLANATION.sub("", body)
    first, _, rest = text.partition("\n")
    arguments = ", ".join(LISTED.findall(rest))
    if first.startswith("Missing from"):
        return f"missing: {arguments}."
    if first.startswith("Unrecognized options"):
        unknown = first.partition(": ")[2]
        return f"unknown argument: {unknown}." + (
            f" Did you mean {arguments}?" if arguments else ""
        )
    if match := POSITIONAL.match(first):
        return f"missing: {match[1].upper()}."
    if match := CHOICE.fullmatch(first):
        given, argument, allowed = match.groups()
        return f"{argument} must be {_either(re.findall(QUOTED, allowed))}, not {given}."
    for pattern, sentence in REWRITTEN:
        if match := re.fullmatch(pattern, first.rstrip(".")):
            return f"{match.expand(sentence)}."
    return f"{first.rstrip('.')}."


def _either(choices: list[str]) -> str:
    return " or ".join(choices) if len(choices) < 3 else f"one of {', '.join(choices)}"

"""Figures with their goals and with what they are to be compared with, as a table and as JSON.

SPDX-License-Identifier: Apache-2.0
"""
import dataclasses


@dataclasses.dataclass
class Figure:
    """One line. goal: (">=" or "<=", number), or none; beside: [(what, number)], measured in the same run."""

    name: str
    value: float
    unit: str = ""
    goal: tuple = None
    beside: list = dataclasses.field(default_factory=list)

    @property
    def reached(self):
        if self.goal is None:
            return None
        sign, bound = self.goal
        return self.value >= bound if sign == ">=" else self.value <= bound

    def as_json(self):
        return {**dataclasses.asdict(self), "reached": self.reached}


def _number(value):
    """Three digits that count, and no more; whole numbers whole."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def _goal(figure):
    if figure.goal is None:
        return ""
    sign, bound = figure.goal
    missed = "" if figure.reached else "  MISSED"
    return f"{sign} {_number(bound)}{missed}"


def print_table(title, figures):
    print(f"\n{title}")
    for figure in figures:
        value = f"{_number(figure.value)} {figure.unit}".strip()
        beside = "; ".join(f"{what} {_number(number)}" for what, number in figure.beside)
        print(f"  {figure.name:46}{value:>18}   {_goal(figure):20}{beside}".rstrip())

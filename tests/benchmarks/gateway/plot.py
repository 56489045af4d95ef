"""Bar charts of values per second, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 44
_GRID, _INK, _LINE = "#d0d7de", "#57606a", "#0b6bcb"
_STEPS = (1, 2, 5)


def chart(title: str, unit: str, per_second: Sequence[float], marks: dict[int, str]) -> str:
    """Return a chart with one bar per second.

    Args:
        title: Title of the chart.
        unit: Unit of the vertical axis.
        per_second: Values from second 0.
        marks: Second -> label of an event.
    """
    top = _ceiling(max(per_second, default=1.0))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(second: float) -> float:
        return _LEFT + wide * second / max(1, len(per_second))

    def y(value: float) -> float:
        return _TOP + high * (1 - value / top)

    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'role="img" font-family="sans-serif" font-size="12" fill="{_INK}">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for part in range(5):
        value = top * part / 4
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="{_GRID}"/>'
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    every = _ceiling(len(per_second) / 8)
    drawn += [
        f'<text x="{x(second):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{second}'
        "</text>"
        for second in range(0, len(per_second) + 1, max(1, int(every)))
    ]
    bars = "".join(
        f"M{x(second):.1f} {y(0):.1f}V{y(value):.1f}H{x(second + 1) - 0.6:.1f}V{y(0):.1f}Z"
        for second, value in enumerate(per_second)
        if value
    )
    drawn.append(f'<path d="{bars}" fill="{_LINE}"/>')
    for second, text in marks.items():
        drawn.append(
            f'<line x1="{x(second):.1f}" x2="{x(second):.1f}" y1="{_TOP}" y2="{y(0):.1f}" '
            f'stroke="{_INK}" stroke-dasharray="4 3"/>'
            f'<text x="{x(second) + 4:.1f}" y="{_TOP - 6}">{escape(text)}</text>'
        )
    drawn.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">seconds</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(unit)}</text></svg>\n'
    )
    return "\n".join(drawn)


def _ceiling(value: float) -> float:
    """Return the next number that is 1, 2 or 5 times a power of ten."""
    power = 1.0
    while True:
        for step in _STEPS:
            if step * power >= value:
                return step * power
        power *= 10

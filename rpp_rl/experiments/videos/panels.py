"""Two pictures side by side, with a line of text above each and one below both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rpp_rl.experiments.videos.films import Frame

_BAR, _GAP, _MARGIN = 28, 4, 8
_FONT_SIZE = 15
_PAPER, _INK = 255, (30, 30, 30)


def side_by_side(pictures: Sequence[Frame], titles: Sequence[str], line: str) -> Frame:
    """One picture of even height and width.

    Args:
        pictures: of one size, (height, width, 3).
        titles: one above each.
        line: below all.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = pictures[0].shape
    total = len(pictures) * width + (len(pictures) - 1) * _GAP
    sheet = np.full((height + 2 * _BAR, total, 3), _PAPER, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        start = i * (width + _GAP)
        sheet[_BAR : _BAR + height, start : start + width] = picture
    image = Image.fromarray(sheet[: sheet.shape[0] // 2 * 2, : sheet.shape[1] // 2 * 2])
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT_SIZE)
    for i, title in enumerate(titles):
        draw.text((i * (width + _GAP) + _MARGIN, _BAR // 2), title, fill=_INK, font=font, anchor="lm")
    draw.text((_MARGIN, height + _BAR + _BAR // 2), line, fill=_INK, font=font, anchor="lm")
    return np.asarray(image, dtype=np.uint8)

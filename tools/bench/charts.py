"""Charts as SVG elements: bars of the servers of one workload, and curves over a load. Colours and type sizes are the
style sheet's of the page they stand in (classes `s0` to `s3` for the servers)."""

import math
import re
from xml.etree import ElementTree

# The drawings scale with the column they are in; these are the sizes at which letters are as large as meant.
BARS_WIDTH, BARS_SIDE = 380, 14
CURVES_WIDTH, CURVES_HEIGHT = 560, 300
# Room of the curves' axis on the left, and of their names on the right.
LEFT, RIGHT = 70, 84
TOP, BOTTOM = 30, 44
BAR_HEIGHT, BAR_STEP = 18, 42
LABEL_STEP = 13
CHARACTER_WIDTH = 6.2  # of the labels, about
MARKER = 3.5
VALUE_MIN, VALUE_MAX = 1e-9, 1e15
NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DURATIONS = ((1e6, "s"), (1e3, "ms"), (1, "µs"), (1e-3, "ns"))
MULTIPLES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def clean(value):
    """Text without the characters that XML cannot hold."""
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))


def element(tag, *children, **attributes):
    """An element with texts and elements in it; class_ and stroke_width stand for class and stroke-width."""
    node = ElementTree.Element(tag, {name.rstrip("_").replace("_", "-"): clean(value)
                                     for name, value in attributes.items()})
    for child in children:
        if isinstance(child, ElementTree.Element):
            node.append(child)
        elif len(node):
            node[-1].tail = (node[-1].tail or "") + clean(child)
        else:
            node.text = (node.text or "") + clean(child)
    return node


# --- numbers --------------------------------------------------------------------------------------------------------

def measured(value):
    """The value as a number that can be drawn, None if it is none: no figure of a run is negative, or so large."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= VALUE_MAX:
        return None
    return float(value) if value >= VALUE_MIN else 0.0


def digits(value):
    """Three digits that count: 0.378, 4.49, 56.2, 1,024."""
    rounded = float(f"{value:.3g}")
    if rounded == 0 or rounded >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, min(6, 2 - math.floor(math.log10(rounded))))}f}"


def multiple(value, format_value=None):
    """A count: 950, 12.5k, 2.61M."""
    size, letter = next(((size, letter) for size, letter in MULTIPLES if value >= size * 0.9995), (1, ""))
    return (format_value or digits)(value / size) + letter


def tick(value):
    """The value at a grid line, which is round."""
    return f"{value:,.6g}"


def multiple_tick(value):
    return multiple(value, tick)


def duration(value_us, format_value=None):
    for size, unit in DURATIONS:
        if value_us >= size * 0.9995:
            break
    return f"{(format_value or digits)(value_us / size) if value_us else 0} {unit}"


def duration_tick(value_us):
    return duration(value_us, tick)


# --- scales ---------------------------------------------------------------------------------------------------------

class Linear:
    """From 0 to at least `top`; values to places between two pixels."""

    def __init__(self, top, first, last, ticks=5):
        # What is no range at all gets one, so that it can be drawn.
        step = top / ticks if top > 0 else 1 / ticks
        unit = 10.0 ** math.floor(math.log10(step))
        self.step = next(unit * part for part in (1, 2, 2.5, 5, 10) if unit * part >= step * 0.999)
        self.count = max(1, math.ceil(top / self.step - 1e-9))
        self.first, self.last = first, last

    def place(self, value):
        return self.first + (self.last - self.first) * value / (self.step * self.count)

    def ticks(self):
        return [self.step * number for number in range(self.count + 1)]


class Logarithmic:
    """Over at least `low` to `high`, both greater than 0; what is below stands at the foot."""

    def __init__(self, low, high, first, last):
        self.low, self.high = low / 1.25, max(high * 1.25, low * 4)
        self.first, self.last = first, last

    def place(self, value):
        part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.first + (self.last - self.first) * part

    def ticks(self):
        decades = math.log10(self.high / self.low)
        parts = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.2 else (1,)
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = 1 if decades < 7 else 3
        return [part * 10.0 ** exponent for exponent in exponents for part in parts
                if exponent % every == 0 and self.low <= part * 10.0 ** exponent <= self.high]


# --- parts of a chart -----------------------------------------------------------------------------------------------

def frame(title, description, width, height):
    """The drawing, its name for those who cannot see it, and the title for those who can."""
    return element("svg", element("title", title), element("desc", description),
                   element("text", title, x=4, y=16, class_="head"), xmlns="http://www.w3.org/2000/svg", role="img",
                   viewBox=f"0 0 {width} {height}")


def line(x1, y1, x2, y2, class_):
    return element("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def text(content, x, y, class_, anchor="start", **more):
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_, text_anchor=anchor, **more)


def x_axis(drawing, scale, top, bottom, label, format_tick):
    ticks = scale.ticks()
    for tick in ticks:
        x = scale.place(tick)
        drawing.append(line(x, top, x, bottom, "grid"))
        drawing.append(text(format_tick(tick), x, bottom + 14, "tick", "middle"))
    drawing.append(line(scale.first, bottom, scale.last, bottom, "axis"))
    drawing.append(text(label, (scale.first + scale.last) / 2, bottom + 30, "label", "middle"))


def y_axis(drawing, scale, left, right, label, format_tick):
    for tick in scale.ticks():
        y = scale.place(tick)
        drawing.append(line(left, y, right, y, "grid"))
        drawing.append(text(format_tick(tick), left - 5, y + 4, "tick", "end"))
    drawing.append(line(left, scale.first, left, scale.last, "axis"))
    middle = (scale.first + scale.last) / 2
    drawing.append(text(label, 11, middle, "label", "middle", transform=f"rotate(-90 11 {middle:.1f})"))


def marker(index, x, y, hollow, tip):
    """The shape tells the servers apart as the colour does; hollow is a point where the server did not keep up."""
    r = MARKER
    shape = index % 4
    if shape == 0:
        node = element("circle", element("title", tip), cx=f"{x:.1f}", cy=f"{y:.1f}", r=r)
    elif shape == 1:
        node = element("rect", element("title", tip), x=f"{x - r:.1f}", y=f"{y - r:.1f}", width=2 * r, height=2 * r)
    else:
        corners = [(0, -1.3), (1.2, 1), (-1.2, 1)] if shape == 2 else [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)]
        node = element("polygon", element("title", tip),
                       points=" ".join(f"{x + dx * r:.1f},{y + dy * r:.1f}" for dx, dy in corners))
    node.set("class", f"s{index} {'hollow' if hollow else 'point'}")
    return node


# --- charts ---------------------------------------------------------------------------------------------------------

def bars(title, unit, rows, format_value):
    """Horizontal bars from zero. Rows: (index of the server's style, its name, value or None, remark)."""
    height = TOP + BAR_STEP * len(rows) + 6 + BOTTOM
    bottom = height - BOTTOM
    values = [value for _, _, value, _ in rows if value is not None]
    said = "; ".join(f"{name} {'not measured' if value is None else format_value(value)} {remark}".strip()
                     for _, name, value, remark in rows)
    drawing = frame(title, f"{unit}: {said}", BARS_WIDTH, height)
    scale = Linear(max(values, default=0), BARS_SIDE, BARS_WIDTH - BARS_SIDE)
    x_axis(drawing, scale, TOP, bottom, unit, multiple_tick)
    for number, (index, name, value, remark) in enumerate(rows):
        y = TOP + BAR_STEP * number + 4
        shown = "not measured" if value is None else format_value(value)
        drawing.append(element("text", element("tspan", name, class_="name"), f"  {shown}", x=scale.first + 3, y=y + 11,
                               class_="value"))
        if remark:
            drawing.append(text(remark, scale.last, y + 11, "remark", "end"))
        if value is not None:
            # A bar of nothing is still seen as one.
            width = max(1.0, scale.place(value) - scale.first)
            drawing.append(element("rect", element("title", f"{name}: {shown} {unit} {remark}".strip()), x=scale.first,
                                   y=y + 15, width=f"{width:.1f}", height=BAR_HEIGHT, class_=f"s{index} bar"))
    return drawing


def spread(labels, top, bottom):
    """Moves labels (x, y, text, index) that would cover one another apart; returns them."""
    placed = []
    for x, y, name, index in sorted(labels, key=lambda label: label[1]):
        for other_x, other_y, other_name, _ in placed:
            width = CHARACTER_WIDTH * max(len(name), len(other_name))
            if abs(other_x - x) < width and y < other_y + LABEL_STEP:
                y = other_y + LABEL_STEP
        placed.append((x, y, name, index))
    over = max((y for _, y, _, _ in placed), default=top) - bottom
    return [(x, max(top, y - max(0, over)), name, index) for x, y, name, index in placed]


def curve_scales(points, low, high, logarithmic):
    x_scale = Linear(max(point[0] for point in points), LEFT, CURVES_WIDTH - RIGHT)
    foot, head = CURVES_HEIGHT - BOTTOM, TOP
    return x_scale, Logarithmic(low, high, foot, head) if logarithmic else Linear(high, foot, head)


def curves(title, labels, series, y_range, format_tick, logarithmic=True):
    """Lines through points. `labels` of the axes x and y; series: (index of the server's style, its name, points), a
    point is (x, y, whether the server did not keep up, tip). `y_range`: lowest and highest value of all charts that
    stand beside this one, None without any."""
    drawn = [(index, name, sorted(points)) for index, name, points in series if points]
    said = "; ".join(f"{name}, {len(points)} points" for _, name, points in drawn)
    drawing = frame(title, f"{labels[1]} over {labels[0]}: {said}", CURVES_WIDTH, CURVES_HEIGHT)
    if y_range is None or not drawn:
        drawing.append(text("not measured", CURVES_WIDTH / 2, CURVES_HEIGHT / 2, "remark", "middle"))
        return drawing
    x_scale, y_scale = curve_scales([point for _, _, points in drawn for point in points], *y_range, logarithmic)
    x_axis(drawing, x_scale, TOP, CURVES_HEIGHT - BOTTOM, labels[0], multiple_tick)
    y_axis(drawing, y_scale, LEFT, CURVES_WIDTH - RIGHT, labels[1], format_tick)
    ends = []
    for index, name, points in drawn:
        places = [(x_scale.place(x), y_scale.place(y)) for x, y, _, _ in points]
        drawing.append(element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
                               class_=f"s{index} curve"))
        for (x, y), (_, _, hollow, tip) in zip(places, points):
            drawing.append(marker(index, x, y, hollow, f"{name}: {tip}"))
        ends.append((places[-1][0] + 9, places[-1][1] + 4, name, index))
    for x, y, name, index in spread(ends, TOP + 10, CURVES_HEIGHT - BOTTOM - 4):
        drawing.append(text(name, x, y, f"end t{index}"))
    return drawing

"""How a metric is shown."""

from typing import Literal

from pydantic import Field

from epa_bench.core.records import Finite, Record


class MetricInfo(Record):
    """How a metric is shown. Never changes a stored value."""

    label: str
    unit: Literal["%", "", "nats", "tokens", "chars"] = ""
    better: Literal["higher", "lower", "closer to 1", "none"] = "none"

    scale: Finite = Field(default=1.0, gt=0)
    """Shown value = stored value x scale: 100 for proportions shown in percent."""

    digits: int = Field(default=3, ge=0, le=12)
    """Digits after the point."""

    headline: bool = False
    """Belongs in the compact table of the README."""

"""The figures of a page: from the series of `plots.series` to plotly's JSON, as `plots` draws them for papers."""

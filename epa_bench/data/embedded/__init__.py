"""The embedded task: invented word instructions with a programmatic reward, small enough to learn on one CPU core.

It exists so that a whole sweep (reference model, preference data, DPO and EPA, evaluation) runs offline in minutes.
It shows that the pipeline works and what the probes can see; it is not evidence about large models.
"""

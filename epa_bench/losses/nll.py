"""The likelihood term that may be added to any loss, weighted with the coefficient `nll`.

Source: Pang et al., "Iterative Reasoning Preference Optimization", arXiv 2404.19733 (DPO + NLL, the NLL divided by the
positive's length); Liu et al., "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an
Adversarial Regularizer", arXiv 2405.16436 (RPO), for why it limits overoptimisation.
"""

from torch import Tensor


def length_normalised_nll(logps_GK: Tensor, tokens_GK: Tensor) -> Tensor:
    """-log pi(y+|x) / |y+| of each group [G], in nats a token, from summed log-probs and token counts, both [G, K].

    Each response is divided by its own length, not by the tokens of a micro-batch: the mean over groups is then the
    same however the step is cut. The positive must have at least one token, which the EOS ensures.
    """
    return -logps_GK[:, 0] / tokens_GK[:, 0]

"""PoFT: supervised fine-tuning weighted by how a model compares with aligned ones on the same response.

Source: Fan et al., "Preference-Oriented Supervised Fine-Tuning: Favoring Target Model Over Aligned Large Language
Models", arXiv 2412.12865 (AAAI 2025), equations 5 to 9. beta and gamma are the release's; the paper has neither.

Shapes: N sequences, J aligned models.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid


def poft_loss(
    logps_N: Tensor, tokens_N: Tensor, aligned_NJ: Tensor, *, beta: float = 1.0, gamma: float = 0.0
) -> Tensor:
    """-log sigmoid(beta (r_theta - mean_j r_j) - gamma) of each sequence [N], nats (equations 5 and 6).

    `logps_N`: summed log-probs under the trained model over `tokens_N` of its own tokens, so r_theta is their quotient;
    `aligned_NJ`: r_j, mean log-probs a token, each in that model's own tokens. Scores are means because summed ones
    saturate the sigmoid, and the mean over models stands inside it: the mean of sigmoids is another loss.
    """
    return -logsigmoid(_logits(logps_N, tokens_N, aligned_NJ, beta) - gamma)


def poft_weights(
    logps_N: Tensor, tokens_N: Tensor, aligned_NJ: Tensor, *, beta: float = 1.0, gamma: float = 0.0
) -> Tensor:
    """tau [N], by which PoFT multiplies the gradient of the sequence's cross-entropy, -r_theta (equations 7 to 9).

    beta sigmoid(beta (mean_j r_j - r_theta) + gamma): never negative, and it falls as the trained model fits.
    """
    return beta * (gamma - _logits(logps_N, tokens_N, aligned_NJ, beta)).sigmoid()


def _logits(logps_N: Tensor, tokens_N: Tensor, aligned_NJ: Tensor, beta: float) -> Tensor:
    return beta * (logps_N / tokens_N - aligned_NJ.mean(dim=-1))

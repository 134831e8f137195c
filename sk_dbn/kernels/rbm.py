"""An RBM as kernels see it: parameters, memory of its training, rule and buffers.

The energy of an RBM is E(v, h) = -b v - c h - v W h for visible units of any kind but Gaussian
ones. Of these, unit i has the variance s_i, and the energy is (Cho, Ilin & Raiko, 2011, equation 2)
sum_i (v_i - b_i)^2 / (2 s_i) - c h - sum_i v_i / s_i (W h)_i. Where visible units of both kinds
stand side by side, each adds the terms of its kind (Welling, Rosen-Zvi & Hinton, 2005).
"""

from collections import namedtuple

Parameters = namedtuple("Parameters", "W b c variance")
Parameters.__doc__ = """Parameters of an RBM, or what is kept for each of them.

W : array (n_visible, n_hidden)
b, c : arrays (n_visible,) and (n_hidden,), biases
variance : array (n_visible,), of Gaussian visible units, 1 for others beside them; (0,) where
    no unit is Gaussian
"""

RunningMeans = namedtuple("RunningMeans", "mu lam activity")
RunningMeans.__doc__ = """Means over the minibatches so far.

mu, lam : arrays (n_visible,) and (n_hidden,), offsets of the centered gradient
activity : array (n_hidden,), of the hidden units' means
"""

RBM = namedtuple("RBM", "parameters velocity chain fast means chains spans hidden layer")
RBM.__doc__ = """One restricted Boltzmann machine and what its training remembers.

parameters, velocity : Parameters
chain : Parameters, of the negative phase: those above, or with the fast weights added
fast : Parameters, fast weights; without any, and for the variance, arrays of no elements
means : RunningMeans
chains : array (n_chains * n_temperatures, n_hidden), hidden samples of the persistent chains,
    those of the first temperature first; (0, n_hidden) where there are none
spans : int64 array (n_spans, 3), ranges of visible units of one kind: first, end and kind
hidden : int, kind of the hidden units
    Kinds are LOGISTIC (0 and 1), TANH (-1 and 1), IDENTITY (Gaussian) and RELU.
layer : int, how many layers lie below
"""

Rule = namedtuple(
    "Rule",
    "steps persistent mean_field n_gibbs_steps seed momentum l2 l1 offset_rate fast_rate "
    "sparsity_target sparsity_cost dropout max_norm variance_rate max_step",
)
Rule.__doc__ = """How an RBM is trained.

steps : int, 0 for gradients alone: neither parameters nor what training remembers change
persistent : int, 1 when the chains go on from one update to the next
mean_field : int, 1 when the visible units are reconstructed by means instead of samples
n_gibbs_steps : int
seed : int, key of the RBM's random numbers
momentum : float, the maximum that it rises to
l2, l1 : float, decay of the weights
offset_rate : float, share of a minibatch in the new offsets; 0 for no centering
fast_rate : float, learning rate of the fast weights; 0 for none
sparsity_target : float, what the hidden units' mean activity is drawn to
sparsity_cost : float, how strongly; 0 for not at all
dropout : float, share of the hidden units dropped for each row; the others count for more
max_norm : float, maximum norm of a hidden unit's weights; 0 for no maximum
variance_rate : float, learning rate of the variances' logarithms over that of the weights
max_step : float, maximum change of the weights by a minibatch, as a share of their norm; 0 for
    no maximum
"""

Update = namedtuple("Update", "key rate momentum step size n_chains n_rows")
Update.__doc__ = """One update of an RBM.

key : uint32, of its random numbers
rate, momentum : float
step : int, updates made before
size, n_chains : int, rows of the positive and of the negative phase
n_rows : int, rows that the gradient is a product of, those of the centering included
"""

PhaseBuffers = namedtuple("PhaseBuffers", "v h u chains lower h_sums")
PhaseBuffers.__doc__ = """Buffers of both phases.

v, h : arrays (n_rows, n_visible) and (n_rows, n_hidden), first the positive phase, then the
    negative one, then those of the centering, see `updates.center_block`
u : array like v, values over their variances; (0, n_visible) where no unit is Gaussian
chains : array (n_chains * n_temperatures, n_hidden), the hidden samples that the chains have
    come to, those of the first temperature first
lower : array (n_row_blocks, 2, block_rows * widest layer below)
h_sums : array (n_row_blocks + n_chain_blocks, 2, n_hidden), sums of either phase's h
"""

LadderBuffers = namedtuple("LadderBuffers", "betas v u h b c h_mu")
LadderBuffers.__doc__ = """Buffers of chains at several temperatures.

betas : array (n_temperatures,), inverse temperatures, from 1 down
v, u, h : arrays (n_chains * n_temperatures, n_visible), likewise, and (..., n_hidden); u without
    rows where no unit is Gaussian
b, c : arrays (n_temperatures, n_visible) and (n_temperatures, n_hidden), biases of each
    temperature
h_mu : array (n_hidden,), the hidden units' products given the visible ones' offsets
"""

GradientBuffers = namedtuple(
    "GradientBuffers", "W v_pos v_gap v_mu v_squares h_pos h_gap h_lam lam push"
)
GradientBuffers.__doc__ = """Buffers of the gradient.

W : array (n_visible, n_hidden), that of the weights
v_pos, h_pos : arrays (n_visible,) and (n_hidden,), means of the positive phase
v_gap, h_gap : arrays (n_visible,) and (n_hidden,), <v>_data - <v>_model, likewise h
v_mu : array (n_unit_blocks, n_rows), products of the rows of v with mu, by block; these and
    those of h with lam over the rows of the minibatch
v_squares : array like the variance, <(v - b)^2>_data - <(v - b)^2>_model
h_lam : array (n_rows,), products of the rows of h with lam
lam : array (n_hidden,), the hidden units' offsets in this gradient
push : array (n_hidden,), what the sparsity target adds to the positive phase's h
"""

UpdateBuffers = namedtuple("UpdateBuffers", "column_squares sums share")
UpdateBuffers.__doc__ = """Buffers of an update.

column_squares : float64 array (n_unit_blocks, n_hidden), sums of squares of each unit's weights,
    of which single precision cannot hold those of large weights
sums : float64 array (n_unit_blocks, 4), see `updates.gradient_block` and `updates.step_block`
share : float64 array (1,), what is left of a step that would be too long
"""

RBMWorkspace = namedtuple("RBMWorkspace", "phases ladder gradient update")
RBMWorkspace.__doc__ = """Buffers of one training run, allocated once.

phases : PhaseBuffers
ladder : LadderBuffers, or None where chains have one temperature: tempering is compiled when used
gradient : GradientBuffers
update : UpdateBuffers
"""

"""Epochs of contrastive divergence, plain, persistent, fast or tempered, in one compiled call.

A minibatch takes two parallel stages: blocks of rows and of chains go through both phases, then
blocks of visible units form their gradient with one product over both phases and are updated
while in cache. Where the length of steps or of weights is limited, that takes one more stage
each. The blocks follow from the shape of the problem, so the number of threads does not change
a bit of the result. Few rows are one block: threads share the products with large weights instead.
"""

from sk_dbn.kernels.blocks import in_blocks, teams, twins
from sk_dbn.kernels.compile import kernel
from sk_dbn.kernels.memory import in_memory
from sk_dbn.kernels.phases import phases_block
from sk_dbn.kernels.products import is_shared
from sk_dbn.kernels.random_bits import derive
from sk_dbn.kernels.rbm import Update
from sk_dbn.kernels.rows import copy_rows
from sk_dbn.kernels.tempering import n_temperatures, temper
from sk_dbn.kernels.updates import (
    CENTERING_ROWS,
    begin_update,
    end_update,
    momentum_at,
    share_of_step,
    shrink_block,
    step_block,
    update_block,
)


@kernel
def begin_minibatch(rbm, rule, rate, step, size, work):
    """The next update of `size` rows, see `Update`."""
    n_chains = size
    if rule.persistent == 1:
        n_chains = work.phases.chains.shape[0] // n_temperatures(work.ladder)
    n_rows = size + n_chains
    if rule.offset_rate > 0.0:
        n_rows += CENTERING_ROWS
    temper(rbm, work.ladder)
    work.update.share[0] = 1.0
    key, momentum = derive(rule.seed, step), momentum_at(step, rule.momentum)
    return Update(key, rate, momentum, step, size, n_chains, n_rows)


@twins
def train_rbm(team, source, order, batch, layers, rbm, rule, rate, first_step, work, norms):
    """Minibatch after minibatch: gather, both phases, update, measure.

    Parameters
    ----------
    team : int, see `blocks.in_blocks`
    source : gather.Source
    order : int64 array, the samples in the order they are to be visited
    batch : int, rows of a minibatch; the last one may be short
    layers : feed_forward.Layers, of which the first are below the RBM
    rbm : RBM, updated where the rule has steps
    rule : Rule
    rate : float, learning rate
    first_step : int, updates made before this call
    work : RBMWorkspace, overwritten
    norms : see `updates.end_update`
    """
    source, layers, rbm = in_memory(source), in_memory(layers), in_memory(rbm)
    rule, work = in_memory(rule), in_memory(work)
    n_phases, n_unit_blocks = work.phases.h_sums.shape[0], work.update.sums.shape[0]
    # Threads share the rows and chains; or if these are in one piece each, all large products.
    W, is_whole = rbm.parameters.W, work.phases.lower.shape[0] == 1 and n_phases <= 2
    is_within = is_whole and is_shared(W) and is_shared(W.T)
    rows_team, inner_team = teams(team, 1 if is_within else n_phases)
    copy_rows(rbm.chains, work.phases.chains)
    for k in range((order.shape[0] + batch - 1) // batch):
        rows = order[k * batch : min((k + 1) * batch, order.shape[0])]
        update = begin_minibatch(rbm, rule, rate, first_step + k, rows.shape[0], work)
        arguments = inner_team, source, rows, layers, rbm, rule, update, work
        in_blocks(rows_team, n_phases, phases_block, arguments)
        begin_update(rbm, rule, update, work)
        in_blocks(team, n_unit_blocks, update_block, (rbm, rule, update, work))
        if rule.max_step > 0.0:
            work.update.share[0] = share_of_step(rule, work.update.sums)
            in_blocks(team, n_unit_blocks, step_block, (rbm, rule, update, work))
        end_update(rbm, rule, update, work, norms)
        if rule.max_norm > 0.0 and rule.steps == 1:
            in_blocks(team, n_unit_blocks, shrink_block, (rbm, rule, work))
    if rule.steps == 1:
        copy_rows(work.phases.chains[: rbm.chains.shape[0]], rbm.chains)

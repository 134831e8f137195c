"""Work that is cut into blocks: done one after the other, or shared among threads.

Compiling a parallel loop takes seconds, more for each argument that its body takes. So there is
one for all kernels: it knows no more than the address of a function, that of the function's
arguments, and how many blocks there are.
"""

import functools
from collections import namedtuple

from llvmlite import ir
from numba import config, prange, types
from numba.core import cgutils
from numba.core.callconv import RETCODE_OK
from numba.extending import intrinsic

from sk_dbn.kernels.compile import entry, kernel, parallel_routine, prototype

Twins = namedtuple("Twins", "serial parallel")
Twins.__doc__ = "One function as it is called to work by itself, and to share its work."

ALONE = 0  # in place of the address of a team's loop

INT64, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
TASK = ir.FunctionType(ir.VoidType(), [BYTES, INT64])


@intrinsic
def _do_block(typingctx, task, arguments, block):
    """Call the function at one address with another address and a number."""

    def generate(context, builder, signature, values):
        task, arguments, block = values
        task = builder.inttoptr(task, TASK.as_pointer())
        builder.call(task, [builder.inttoptr(arguments, BYTES), block])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _share(task, arguments, n_blocks):
    for block in prange(n_blocks):
        _do_block(task, arguments, block)


_team = parallel_routine(_share)
_SHARE = (types.int64,) * 3


@kernel
def teams(team, n_blocks):
    """Who shares some blocks, and who shares products within each: of a single block, the team."""
    return (ALONE, team) if n_blocks == 1 else (team, ALONE)


def team_address():
    """The address of the loop whose blocks threads share, which is compiled if it has to be."""
    return _team.address(_SHARE)


def in_blocks(team, n_blocks, function, arguments):
    """Call ``function(*arguments, block)`` for each block.

    Parameters
    ----------
    team : int, the first argument of every function that is compiled as `twins`
    n_blocks : int
    function : routine that returns nothing; what it raises is raised when all blocks are done
    arguments : tuple
    """
    for block in range(n_blocks):
        function(*arguments, block)


def _write_task(context, module, routine, args, fields):
    """A function that takes a routine's arguments from where they lie, and calls it."""
    name = module.get_unique_name("task")
    task = ir.Function(module, TASK, name)
    task.linkage = "internal"
    builder = ir.IRBuilder(task.append_basic_block())
    place, block = task.args
    place = builder.bitcast(place, fields.as_pointer())
    n = len(fields) - 2  # followed by what is to be raised
    flat = [builder.load(cgutils.gep_inbounds(builder, place, 0, i)) for i in range(n)]
    callee = prototype(context, module, routine, args)
    returned, error = (type_.pointee for type_ in callee.function_type.args[:2])
    results = [cgutils.alloca_once(builder, type_) for type_ in (returned, error)]
    code = builder.call(callee, [*results, *flat, block])
    status = context.call_conv._get_return_status(builder, code, builder.load(results[1]))
    with cgutils.if_unlikely(builder, status.is_error):  # no memory: `in_blocks` raises
        for i, value in enumerate((code, status.excinfoptr)):
            builder.store(value, cgutils.gep_inbounds(builder, place, 0, len(flat) + i))
    builder.ret_void()
    return task


@intrinsic
def _in_blocks(typingctx, team, n_blocks, function, arguments):
    routine = function.typing_key
    args = (*(types.unliteral(type_) for type_ in arguments), types.int64)
    routine.compiled(args)

    def generate(context, builder, signature, values):
        team, n_blocks, _, arguments = values
        module = builder.module
        packer = context.get_arg_packer(args[:-1])
        parts = cgutils.unpack_tuple(builder, arguments, len(args) - 1)
        flat = packer.as_arguments(builder, parts)
        error = prototype(context, module, routine, args).function_type.args[1].pointee
        fields = ir.LiteralStructType([*(value.type for value in flat), ir.IntType(32), error])
        place = cgutils.alloca_once(builder, fields)
        code, error = (cgutils.gep_inbounds(builder, place, 0, len(flat) + i) for i in range(2))
        builder.store(RETCODE_OK, code)
        for i, value in enumerate(flat):
            builder.store(value, cgutils.gep_inbounds(builder, place, 0, i))
        place = builder.bitcast(place, BYTES)
        task = _write_task(context, module, routine, args, fields)
        with builder.if_else(cgutils.is_null(builder, team)) as (alone, shared):
            with alone, cgutils.for_range(builder, n_blocks) as loop:
                builder.call(task, [place, loop.index])
            with shared:
                type_ = context.call_conv.get_function_type(types.none, _SHARE)
                loop = builder.inttoptr(team, type_.as_pointer())
                results = [cgutils.alloca_once(builder, t.pointee) for t in type_.args[:2]]
                addresses = [builder.ptrtoint(x, INT64) for x in (task, place)]
                builder.call(loop, [*results, *addresses, n_blocks])
        code, error = builder.load(code), builder.load(error)
        status = context.call_conv._get_return_status(builder, code, error)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, function, arguments), generate


def twins(function):
    """Compile a function whose first argument is the team that `in_blocks` takes."""
    compiled = entry(function)

    @functools.wraps(function)
    def serial(*args):
        compiled(ALONE, *args)

    @functools.wraps(function)
    def parallel(*args):
        compiled(team_address(), *args)

    if config.DISABLE_JIT:
        return Twins(serial, serial)
    serial.compiled = parallel.compiled = compiled
    return Twins(serial, parallel)


if not config.DISABLE_JIT:
    in_blocks = _in_blocks

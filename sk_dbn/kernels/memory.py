"""Tuples of arrays that kernels hand to one another by their address.

A tuple that is handed over by value is handed over number by number: a dozen of arrays are a
hundred arguments, to be taken apart and put together again in each function on the way, which
takes most of the time that it is compiled in. A tuple within such a tuple has an address too.
"""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
)

INT64 = ir.IntType(64)


class InMemory(types.Type):
    """The type of a named tuple that lies in memory."""

    def __init__(self, tuple_):
        self.tuple = tuple_
        super().__init__(f"InMemory({tuple_})")

    @property
    def key(self):
        return self.tuple


@register_model(InMemory)
class _Model(models.PrimitiveModel):
    """An address."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, INT64)


@infer_getattr
class _Fields(AttributeTemplate):
    key = InMemory

    def generic_resolve(self, type_, name):
        """The type of a field, which of a tuple is that of its place."""
        if name in type_.tuple.fields:
            field = type_.tuple[type_.tuple.fields.index(name)]
            return InMemory(field) if isinstance(field, types.BaseNamedTuple) else field


@lower_getattr_generic(InMemory)
def _read_field(context, builder, type_, value, name):
    """A field, read where the tuple lies, which nobody writes to any more."""
    field = type_.tuple.fields.index(name)
    place = builder.inttoptr(value, context.get_value_type(type_.tuple).as_pointer())
    place = cgutils.gep_inbounds(builder, place, 0, field)
    if isinstance(type_.tuple[field], types.BaseNamedTuple):
        return builder.ptrtoint(place, INT64)
    loaded = builder.load(place)
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return impl_ret_borrowed(context, builder, type_.tuple[field], loaded)


def in_memory(fields):
    """A named tuple, from now on handed over by its address; valid until the caller returns.

    Not for use in a loop: a call has one place in memory, and what lies there must not change.
    """
    return fields


@intrinsic
def _in_memory(typingctx, fields):
    if isinstance(fields, InMemory):
        return fields(fields), lambda context, builder, signature, values: values[0]

    def generate(context, builder, signature, values):
        place = cgutils.alloca_once(builder, values[0].type)
        builder.store(values[0], place)
        # Behind instructions that nobody looks into, here none, the memory is another one: so
        # reading what nobody writes to is not moved before it was written to.
        type_ = ir.FunctionType(INT64, [INT64])
        address = builder.ptrtoint(place, INT64)
        return builder.asm(type_, "", "=r,0,~{memory}", [address], side_effect=True)

    return InMemory(fields)(fields), generate


if not config.DISABLE_JIT:
    in_memory = _in_memory

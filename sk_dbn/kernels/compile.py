"""How a Python function becomes a kernel, and how its machine code is cached.

A function is compiled in one of five ways:

``kernel``
    a building block, called by other kernels and compiled into each of them;
``view``
    one that returns a part of an array;
``generated``
    one whose instructions are written by hand, for what no compiler makes of loops;
``routine``
    a large building block, compiled by itself and called through its address, cached on disk;
``entry``
    called from Python, cached on disk; `blocks.twins` are entries that may share their work.

The time that takes is that of numba, which infers types and writes instructions one by one; so
there are few kernels, with few arguments, and none is compiled twice.
"""

import contextlib
import functools
import gc
import hashlib
import importlib
import inspect
import logging
import pathlib
import types

from llvmlite import binding
from numba import config, typeof
from numba.core import cgutils
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import Compiler, Flags, compile_extra
from numba.core.dispatcher import _FunctionCompiler
from numba.core.registry import CPUDispatcher
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin
from numba.types import Any, Array, BaseTuple, Function, VarArg, unliteral

from sk_dbn.kernels import SOURCES, self_test
from sk_dbn.kernels.cache import (
    VERSIONS,
    DiskCache,
    find_folder,
    settings,
    warn_of_distrusted,
)
from sk_dbn.kernels.interrupts import uninterrupted

# NaN and infinity must survive to be seen, hence neither "nnan" nor "ninf".
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

# No reassociation, where the order of operations is the point: in range reductions, and in
# kernels that are compiled into several callers. LLVM optimises them with each caller, and
# reassociates differently: what one caller computes would differ from another in last bits. A
# routine has one machine code and may reassociate.
EXACT = {"contract"}
STRICT = set()

_DIGEST = SOURCES.digest  # a part of the kernels' names in the cache
# All that the bits of a kernel's results depend on, besides its arguments and the processor.
ORIGIN = _DIGEST, *VERSIONS, *settings(), bool(config.DISABLE_JIT)
_KERNELS = pathlib.Path(__file__).parent
# Without sources (a package imported from an archive) nobody could tell that code is stale.
_FOLDER = find_folder(_KERNELS) if SOURCES and not config.DISABLE_JIT else None
CACHE_FOLDER = None if _FOLDER is None else _FOLDER.path

COMPILING = (
    "compiling: this can take a minute, once for these versions of sk_dbn, numba and Python and "
    "this processor (python -m sk_dbn.compile does it ahead of time)"
)
LISTENERS = []  # of the fits that go on, the innermost last: called with that


@functools.cache
def _log_once():
    """Write to the log, and warn of folders that are not used, once in a process."""
    logging.getLogger("sk_dbn").info(COMPILING)
    warn_of_distrusted(_KERNELS)


def _announce():
    """Tell that something is compiled, once in each fit."""
    _log_once()
    if LISTENERS:
        tell = LISTENERS[-1]
        LISTENERS.clear()
        tell(COMPILING)


def _cached(dispatcher):
    """Give the dispatcher a disk cache where one can be had."""
    if _FOLDER is not None:
        dispatcher._cache = DiskCache(dispatcher.py_func, _FOLDER, _routines_called, SOURCES)
    return dispatcher


_NAMES = set()


def _named(function, suffix):
    """A copy of the function under a cache name of its own, which no other one may have."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__doc__ = function.__doc__
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__qualname__}_{suffix}_{_DIGEST}"
    name = copy.__module__, copy.__qualname__
    if name in _NAMES:
        raise ValueError(
            f"{function.__qualname__} of {function.__module__} is the name of two functions: the "
            "cached code of one would be taken for that of the other."
        )
    _NAMES.add(name)
    return copy


def _options(fastmath, allocates=True):
    """What njit is told.

    Counting the references to every slice of every array takes longer than the arithmetic of
    a small minibatch. The caller holds the arrays, so only who makes new ones, or makes an
    array of an address, has to count.
    """
    return {
        "fastmath": set(fastmath),
        "error_model": "numpy",
        "nogil": True,
        "_nrt": allocates,
        "no_cfunc_wrapper": True,
    }


@contextlib.contextmanager
def _uncollected():
    """Context without garbage collection.

    numba makes millions of objects, most of which stay. To look through them all again and again
    takes a fifth of the time of a compilation.
    """
    was_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Linked(CPUCodeLibrary):
    """Code that is compiled within its callers, where it is optimised, and not run by itself."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self.codegen._data_layout  # as numba does here, too

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


class _QuickFlags(Flags):
    """numba's flags, which it compares for each function that it looks up, compared quickly."""

    _DEFAULTS = {name: getattr(Flags(), name) for name in Flags.options}

    def values(self):
        """All values by name, as the base class has them."""
        return {**self._DEFAULTS, **self._values}

    __eq__ = Flags.__eq__

    def __hash__(self):
        return _HASH


_HASH = hash(Flags())  # which is the same for all, being that of the names


class _Compiler(_FunctionCompiler):
    """Compiles as numba does, whose hook for flags is for callbacks from C alone."""

    def _compile_core(self, args, return_type, library=None):
        _announce()
        flags = _QuickFlags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = library is not None
        typing, target = self.targetdescr.typing_context, self.targetdescr.target_context
        with uninterrupted():
            typing.refresh()
            target.refresh()
        options = args, return_type, flags, self.locals, library
        return compile_extra(typing, target, self.py_func, *options)


class _LinkedCompiler(_Compiler):
    """Compiles as far as callers need."""

    def _compile_core(self, args, return_type):
        target = self.targetdescr.target_context
        library = _Linked(target.codegen(), self.py_func.__qualname__)
        result = super()._compile_core(args, return_type, library)
        # The address of machine code, where there is any, is what numba knows it by.
        result = result._replace(entry_point=(self.py_func, args))
        target.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


class BuildingBlock(CPUDispatcher):
    """A compiled function that others call, without the wrapper that Python needs.

    The wrapper takes the arguments apart. For arguments of dozens of arrays it takes longer to
    compile than the function itself, so it is made when Python first calls.
    """

    compiler = _Compiler

    def __init__(self, function, **options):
        options = {**options, "nopython": True, "no_cpython_wrapper": True}
        super().__init__(function, targetoptions=options)
        self._compiler = self.compiler(function, self.targetdescr, options, {}, Compiler)

    def __call__(self, *args):
        return self.for_python(*args)

    @functools.cached_property
    def for_python(self):
        """The same function, with the wrapper."""
        options = {**self.targetoptions, "no_cpython_wrapper": False}
        return CPUDispatcher(self.py_func, targetoptions=options)


class LinkedBlock(BuildingBlock):
    """One that has no machine code of its own, but is a part of that of each caller."""

    compiler = _LinkedCompiler

    def add_overload(self, cres):
        """Note what was compiled; there is nothing that Python could call."""
        self.overloads[tuple(cres.signature.args)] = cres


class EntryPoint(CPUDispatcher):
    """A compiled function that Python calls, disk cache included.

    Arrays that must not be written share machine code with those that may be, so a
    memory-mapped or frozen one compiles nothing. That is safe for what a kernel only reads,
    and what it writes is allocated by its caller.
    """

    def __init__(self, function, **options):
        options = {**options, "nopython": True}
        super().__init__(function, targetoptions=options)
        self._compiler = _Compiler(function, self.targetdescr, options, {}, Compiler)
        _cached(self)

    def _compile_for_args(self, *args, **kws):
        """The machine code for arguments that none was found for by their types."""
        present = tuple(typeof(arg) for arg in args)
        wanted = tuple(_writable(type_) for type_ in present)
        with _uncollected():
            if wanted == present:
                return super()._compile_for_args(*args, **kws)
            return self.compile(wanted)


def _writable(type_):
    """The type of the same arguments whose arrays may be written to."""
    if isinstance(type_, Array):
        return type_.copy(readonly=False)
    if isinstance(type_, BaseTuple):
        parts = [_writable(part) for part in type_]
        return BaseTuple.from_types(parts, getattr(type_, "instance_class", None))
    return type_


def kernel(function=None, *, fastmath=FASTMATH, forceinline=False, allocates=False):
    """Compile a building block that other kernels call."""
    if function is None:
        options = {"fastmath": fastmath, "forceinline": forceinline, "allocates": allocates}
        return lambda f: kernel(f, **options)
    if config.DISABLE_JIT:
        return function
    return LinkedBlock(function, forceinline=forceinline, **_options(fastmath, allocates))


def view(function):
    """Compile a function that returns a part of an array, see `parts`, into its callers."""
    return kernel(function, forceinline=True, allocates=True)


def generated(to_signature, write):
    """Compile a function by writing its instructions; its Python body says what they do.

    Parameters
    ----------
    to_signature : callable
        The signature, given the types of the arguments.
    write : callable
        Writes the instructions, given numba's context, llvmlite's builder, the signature and
        the arguments' values; returns the value, or None where there is none.
    """

    def decorate(function):
        if config.DISABLE_JIT:
            return function

        def generate(context, builder, signature, arguments):
            value = write(context, builder, signature, arguments)
            return context.get_dummy_value() if value is None else value

        def typing(_, *args):
            return to_signature(*args), generate

        # numba takes the arguments' names from the signature, after the context.
        functools.update_wrapper(typing, function)
        own = inspect.signature(function).parameters.values()
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typing.__signature__ = inspect.Signature([context, *own])
        return intrinsic(typing)

    return decorate


class Routine:
    """A function with one machine code for each signature, whoever calls it.

    Other kernels refer to it by a symbol, so its code is neither compiled nor optimised again
    in each of them, and gives the same bits everywhere. Before cached code that refers to the
    symbol is loaded, the routine itself is loaded or compiled (`_routines_called`).

    Parameters
    ----------
    function : callable
    fastmath : set of str
    allocates : bool
        Whether it makes arrays; in no case may it return one.
    **options
        More of what numba is told.
    """

    def __init__(self, function, fastmath, allocates, **options):
        options |= _options(fastmath, allocates)
        self._dispatcher = _cached(BuildingBlock(_named(function, "routine"), **options))
        self._compiled = {}
        functools.update_wrapper(self, function)
        _ROUTINES[self.__module__, self.__qualname__] = self
        _make_callable(self)

    def __call__(self, *args):
        return self._dispatcher(*args)

    @property
    def py_func(self):
        """The Python function."""
        return self._dispatcher.py_func

    @property
    def stats(self):
        """Of numba: how often machine code came from the cache."""
        return self._dispatcher.stats

    def compiled(self, args):
        """The machine code for some argument types, and the symbol that it goes by."""
        if args not in self._compiled:
            with _uncollected():
                self._dispatcher.compile(args)
            if _FOLDER is not None:
                self._dispatcher._cache.check_use()
            result = self._dispatcher.overloads[args]
            symbol = f"{SYMBOLS}{self.py_func.__module__}.{self.py_func.__qualname__}"
            symbol += hashlib.sha256(str(args).encode()).hexdigest()[:16]
            binding.add_symbol(symbol, _address(result))
            _REQUIREMENTS[symbol] = functools.partial(
                _require, self.__module__, self.__qualname__, args
            )
            self._compiled[args] = result, symbol
        return self._compiled[args]

    def address(self, args):
        """Where the machine code for some argument types lies."""
        return _address(self.compiled(args)[0])


def _address(result):
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def prototype(context, module, routine, args):
    """A routine as the code in a module calls it: its declaration there."""
    result, symbol = routine.compiled(args)
    types_ = result.fndesc.restype, result.fndesc.argtypes
    type_ = context.call_conv.get_function_type(*types_)
    return cgutils.get_or_insert_function(module, type_, symbol)


SYMBOLS = "sk_dbn_routine."
_ROUTINES = {}  # by module and name, of which there is one
_REQUIREMENTS = {self_test.SYMBOL: self_test.note_reload}  # of each symbol, what makes it known


def _require(module, name, args):
    """Make a routine's symbol known in a process that is about to load a caller."""
    importlib.import_module(module)
    _ROUTINES[module, name].compiled(args)


def _routines_called(library):
    """What has to be done before a library is loaded from the cache."""
    names = [function.name for function in library._final_module.functions]
    return [_REQUIREMENTS[name] for name in names if name in _REQUIREMENTS]


def _make_callable(routine):
    """Teach numba how other kernels call a routine."""

    class Template(AbstractTemplate):
        key = routine

        def generic(self, args, kws):
            args = tuple(unliteral(arg) for arg in args)
            result, _ = routine.compiled(args)
            return result.signature.return_type(*args)

    infer_global(routine, Function(Template))

    @lower_builtin(routine, VarArg(Any))
    def call(context, builder, sig, args):
        fndesc = routine.compiled(sig.args)[0].fndesc
        types_ = fndesc.restype, fndesc.argtypes
        callee = prototype(context, builder.module, routine, sig.args)
        status, value = context.call_conv.call_function(builder, callee, *types_, args)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return value


def routine(function=None, *, fastmath=FASTMATH, allocates=False):
    """Compile a large building block by itself, cached on disk."""
    if function is None:
        return lambda f: routine(f, fastmath=fastmath, allocates=allocates)
    return function if config.DISABLE_JIT else Routine(function, fastmath, allocates)


def parallel_routine(function):
    """Compile a loop with ``prange``, to be called through its address, cached on disk."""
    return function if config.DISABLE_JIT else Routine(function, FASTMATH, False, parallel=True)


def entry(function):
    """Compile a function that Python calls, cached on disk."""
    if config.DISABLE_JIT:
        return function
    return EntryPoint(_named(function, "entry"), **_options(FASTMATH))

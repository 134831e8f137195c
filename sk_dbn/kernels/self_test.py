"""Whether numba keeps machine code as `cache` and `compile` expect of it, tried in each process.

Both use parts of numba that it does not promise (docs/contributing.rst lists them). Were one of
them another in a later version, a failure would be taken for a miss, which costs a compilation in
every process; and a symbol that is missing when code is loaded ends the process. So a function of
two instructions goes all the way of a kernel before the first kernel is kept.
"""

import pickle
import warnings

import numba
from llvmlite import binding, ir
from numba.core import cgutils
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

SYMBOL = "sk_dbn_self_test"  # of a function that the tried one calls
RELOADED = []  # filled when that is made known, before the tried one is loaded
_outcomes = []  # of this process: what does not work, and "" once all does


def note_reload():
    """Stands for making a routine known."""
    RELOADED.append(SYMBOL)


def has_failed():
    """Whether it is known that something does not work."""
    return any(_outcomes)


def has_passed(result, required):
    """Whether code can be kept; tried once in a process.

    Parameters
    ----------
    result : CompileResult, of any function
    required : callable
        Given a library, what has to be done before it is loaded.

    Returns
    -------
    bool
    """
    if not _outcomes:
        try:
            trouble = _trouble(result, required)
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        if not trouble:
            _outcomes.append("")
        else:
            give_up(trouble)
    return not has_failed()


def give_up(trouble):
    """Keep no code from now on, and warn of it once in a process.

    Parameters
    ----------
    trouble : str, what does not work
    """
    if not has_failed():
        _outcomes.append(trouble)
        warnings.warn(
            f"sk_dbn cannot cache machine code with numba {numba.__version__}: {trouble}. Kernels "
            "work, but are compiled anew in every process. Install a version of numba that this "
            "release of sk_dbn supports, or a newer sk_dbn.",
            RuntimeWarning,
        )


def _trouble(result, required):
    library = _library(result.codegen)
    if required(library) != [note_reload]:
        return "it does not tell which functions a compiled one calls"
    tried = result._replace(library=library, reload_init=[note_reload])
    RELOADED.clear()
    content = pickle.loads(dumps(tried._reduce()))
    again = CompileResult._rebuild(result.target_context, *content)
    if not RELOADED:
        return "it does not prepare what loaded code calls"
    if again.signature.args != result.signature.args:
        return "loaded code has another signature than what was kept"
    if not again.library.get_pointer_to_function(f"{SYMBOL}.caller"):
        return "loaded code has no address"


def _library(codegen):
    """A compiled function that calls another one by its symbol."""
    binding.add_symbol(SYMBOL, id(_library))  # an address, where nothing is called
    library = codegen.create_library(SYMBOL)
    library.enable_object_caching()
    module, type_ = library.create_ir_module(SYMBOL), ir.FunctionType(ir.IntType(64), [])
    caller = ir.Function(module, type_, f"{SYMBOL}.caller")
    builder = ir.IRBuilder(caller.append_basic_block())
    builder.ret(builder.call(cgutils.get_or_insert_function(module, type_, SYMBOL), []))
    library.add_ir_module(module)
    library.finalize()
    library.get_pointer_to_function(caller.name)
    return library

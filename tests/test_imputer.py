"""The imputer: what scikit-learn's imputers promise, kept by a stack."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_dbn import BernoulliRBMStack, RBMImputer

WHOLE, LABELS = (values[:200] for values in load_breast_cancer(return_X_y=True))
WHOLE = WHOLE[:, :6]
IS_MISSING = np.random.RandomState(0).rand(*WHOLE.shape) < 0.2
IS_MISSING[:, 5] = False
X = np.where(IS_MISSING, np.nan, WHOLE)
NAMES = [f"feature {i}" for i in range(6)]
STACK = BernoulliRBMStack((8,), max_iter=3)
SHORT = {"n_steps": 20, "n_burn_in": 5, "random_state": 0}


def imputer(stack=STACK, **params):
    return RBMImputer(stack, **{**SHORT, **params})


def with_empty_feature():
    return np.insert(X, 2, np.nan, axis=1)


def ratings():
    """Two features with the categories 1, 3 and 9, which are the same in each sample."""
    values = np.tile([[1.0], [3.0], [9.0]], (40, 2))
    values[::5, 0], values[1::5, 1] = np.nan, np.nan
    return values


@pytest.mark.parametrize("seed", range(3))
def test_imputes_better_than_the_mean(seed):
    """The features depend on each other, so the observed ones tell about the missing ones."""
    scale = WHOLE.std(axis=0)
    of_mean, ours, by_gibbs = (
        np.sqrt((((each.fit_transform(X) - WHOLE) / scale)[IS_MISSING] ** 2).mean())
        for each in (
            SimpleImputer(),
            RBMImputer(random_state=seed),
            RBMImputer(n_steps=100, random_state=seed),
        )
    )
    assert ours < 0.8 * of_mean and by_gibbs < 0.8 * of_mean


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_steps", [0, 20])
def test_values_are_those_of_complete(n_steps, dtype):
    """Observed ones are the caller's, missing ones the stack's; the dtype is that of X."""
    fitted = imputer(n_steps=n_steps).fit(X.astype(dtype))
    X_new = fitted.transform(X.astype(dtype))
    assert X_new.dtype == dtype
    np.testing.assert_array_equal(X_new[~IS_MISSING], X.astype(dtype)[~IS_MISSING])
    other_draws = fitted.estimator_.complete(X, n_steps=n_steps, n_burn_in=5, random_state=1)
    spread = 0.0 if n_steps == 0 else 0.5
    np.testing.assert_allclose(X_new / X_new.std(0), other_draws / X_new.std(0), 1e-5, spread)


def test_means_are_the_same_at_each_call():
    """A fitted transformer is a function, also after pickling, and a seed determines the fit."""
    fitted = imputer().fit(X)
    X_new = fitted.transform(X)
    for same in (fitted, pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(X)):
        np.testing.assert_array_equal(same.transform(X), X_new)
    unseeded = imputer(random_state=None).fit(X)
    np.testing.assert_array_equal(unseeded.transform(X), unseeded.transform(X))


def test_samples_differ_between_calls():
    """Multiple imputation needs independent draws; the sequence of draws follows the seed."""
    fitted = imputer(sample_posterior=True).fit(X)
    first, second = fitted.transform(X), fitted.transform(X)
    assert (first != second)[IS_MISSING].all()
    np.testing.assert_array_equal(clone(fitted).fit(X).transform(X), first)


def test_mean_field_reads_each_sample_by_itself():
    """It draws nothing that samples could share."""
    fitted = imputer(n_steps=0).fit(X)
    alone = np.concatenate([fitted.transform(X[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(fitted.transform(X)[:10], alone, rtol=1e-6)


def test_estimator_is_a_template():
    """It is cloned, and a seed of its own counts before that of the imputer."""
    stack = clone(STACK).set_params(random_state=7)
    fitted = imputer(stack).fit(X)
    assert not hasattr(stack, "coefs_")
    np.testing.assert_array_equal(fitted.estimator_.coefs_[0], clone(stack).fit(X).coefs_[0])


def test_features_never_observed():
    """They are dropped, or kept with 0 where they are missing, as in scikit-learn."""
    empty = with_empty_feature()
    with pytest.warns(UserWarning, match=r"no observed values in the features \[2\], which tra"):
        fitted = imputer().fit(empty)
    assert fitted.transform(empty).shape == X.shape
    assert fitted.get_feature_names_out().tolist() == ["x0", "x1", "x3", "x4", "x5", "x6"]
    kept = imputer(keep_empty_features=True).fit(empty)
    np.testing.assert_array_equal(kept.transform(empty)[:, 2], 0.0)
    empty[0, 2] = 4.0
    assert kept.transform(empty)[0, 2] == 4.0
    assert len(kept.get_feature_names_out()) == 7


def test_a_categorical_feature_never_observed_is_an_error():
    """Its categories are not known, so it has no units."""
    stack = clone(STACK).set_params(visible={2: "categorical"})
    with pytest.raises(ValueError, match="feature 2 is categorical, but all its values are miss"):
        imputer(stack).fit(with_empty_feature())


@pytest.mark.filterwarnings("ignore:(Skipping|X has no observed)")
@pytest.mark.parametrize("container", ["default", "pandas", "polars"])
def test_indicator_is_that_of_scikit_learn(container):
    """One column for each feature with missing values, after those of the features."""
    if container != "default":
        pytest.importorskip(container)
    theirs = SimpleImputer(add_indicator=True).fit(with_empty_feature())
    ours = imputer(add_indicator=True).fit(with_empty_feature()).set_output(transform=container)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    X_new = np.asarray(ours.transform(with_empty_feature()))
    np.testing.assert_array_equal(X_new[:, 6:], theirs.transform(with_empty_feature())[:, 6:])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_in_and_out(library):
    """The container carries names and changes no number, whoever asks for it."""
    frames = pytest.importorskip(library)
    frame = frames.DataFrame(dict(zip(NAMES, X.T, strict=True)))
    fitted = imputer(clone(STACK).set_params(visible={"feature 1": "gaussian"})).fit(frame)
    expected = imputer().fit_transform(X)
    with config_context(transform_output=library):
        results = [fitted.transform(frame)]
    results.append(fitted.set_output(transform=library).transform(frame))
    for X_new in results:
        assert isinstance(X_new, frames.DataFrame) and list(X_new.columns) == NAMES
        np.testing.assert_array_equal(X_new.to_numpy(), expected)


def test_pandas_index_and_nullable_integers():
    """Rows keep their labels, and NA is missing."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, None, 3] * 5, "b": [0, 1, None] * 5}, dtype="Int64")
    frame.index = [f"row {i}" for i in range(15)]
    X_new = imputer().set_output(transform="pandas").fit_transform(frame)
    assert X_new.index.equals(frame.index) and not X_new.isna().to_numpy().any()
    assert (X_new["a"][frame["a"].notna()] == frame["a"].dropna().astype(float)).all()


def test_pandas_categories():
    """Columns of that dtype are categorical without being asked for; their codes are imputed."""
    pandas = pytest.importorskip("pandas")
    codes = np.where(np.isnan(ratings()), -1, np.searchsorted([1.0, 3.0, 9.0], ratings()))
    labels = [pandas.Categorical.from_codes(x, ["a", "b", "c"]) for x in codes.T]
    frame = pandas.DataFrame(dict(zip("xy", labels, strict=True)))
    stack = BernoulliRBMStack((8,), max_iter=300, n_iter_no_change=300)
    with config_context(transform_output="pandas"):
        X_new = imputer(stack, n_steps=0, strategy="most_frequent").fit_transform(frame)
    np.testing.assert_array_equal(X_new.to_numpy(), np.tile([[0.0], [1.0], [2.0]], (40, 2)))


def test_names_are_those_of_the_last_fit():
    """A second fit on an array forgets those of a data frame."""
    pandas = pytest.importorskip("pandas")
    fitted = imputer(n_steps=0).fit(pandas.DataFrame(X, columns=NAMES))
    assert fitted.feature_names_in_.tolist() == NAMES
    assert not hasattr(fitted.fit(X), "feature_names_in_")


def test_missing_values_in_lists():
    """None is missing."""
    rows = [[None if np.isnan(x) else x for x in row] for row in X.tolist()]
    np.testing.assert_array_equal(imputer().fit_transform(rows), imputer().fit_transform(X))


def test_most_frequent_is_a_category():
    """The two features always agree, so one tells which category of the other is missing."""
    epochs = {"max_iter": 300, "n_iter_no_change": 300}
    stack = BernoulliRBMStack((8,), visible="categorical", **epochs)
    truth = np.tile([[1.0], [3.0], [9.0]], (40, 2))
    most_frequent = imputer(stack, strategy="most_frequent", n_steps=0)
    np.testing.assert_array_equal(most_frequent.fit_transform(ratings()), truth)
    means = imputer(stack, n_steps=0).fit_transform(ratings())
    assert means.min() >= 1.0 and means.max() <= 9.0 and not np.isin(means, truth).all()


@pytest.mark.parametrize("not_stored", ["zero", "missing"])
def test_sparse_input(not_stored):
    """What is not stored is 0 or missing, as the stack says; the output is dense."""
    stored = scipy.sparse.csr_array(np.where(IS_MISSING, 0.0, WHOLE))
    dense = X if not_stored == "missing" else stored.toarray()
    stack = clone(STACK).set_params(not_stored=not_stored, shuffle=False)
    fitted = imputer(stack, n_steps=0, add_indicator=True).fit(stored)
    expected = imputer(stack, n_steps=0, add_indicator=True).fit(dense).transform(dense)
    np.testing.assert_allclose(fitted.transform(stored), expected, rtol=1e-4)


def test_search_in_a_pipeline():
    """The stack's parameters are reached through the imputer's, and columns may be chosen."""
    columns = make_column_transformer((imputer(n_steps=0), [0, 1, 2, 3]), remainder="passthrough")
    for first in (imputer(n_steps=0), columns):
        pipeline = make_pipeline(first, StandardScaler(), LogisticRegression())
        name = "rbmimputer__estimator__hidden_layer_sizes"
        if first is columns:
            name = f"columntransformer__{name}"
            pipeline[0].set_params(remainder=SimpleImputer())
        search = GridSearchCV(pipeline, {name: [(2,), (4,)]}, cv=2).fit(X, LABELS)
        assert search.best_params_[name] in [(2,), (4,)] and search.best_score_ > 0.8


@pytest.mark.parametrize(
    "params, message",
    [
        ({"estimator": SimpleImputer()}, "'estimator' .* must be an instance of .*BernoulliRBMSt"),
        ({"n_steps": -1}, r"'n_steps' .* must be an int in the range \[0, inf\) or .*Got -1"),
        ({"n_burn_in": 0.5}, "'n_burn_in' .* must be an int .* Got 0.5"),
        ({"strategy": "median"}, "'strategy' .* must be a str among .* Got 'median'"),
        ({"add_indicator": "yes"}, "'add_indicator' .* must be an instance of 'bool'.* Got 'yes'"),
        ({"n_steps": 0, "sample_posterior": True}, "sample_posterior=True needs n_steps of at le"),
    ],
)
def test_errors_name_parameter_rule_and_value(params, message):
    """Before anything is trained."""
    with pytest.raises(ValueError, match=message):
        imputer().set_params(**params).fit(X)


def test_errors_of_the_input():
    """scikit-learn's, as soon as X is read."""
    with pytest.raises(NotFittedError, match="RBMImputer"):
        imputer().transform(X)
    with pytest.raises(ValueError, match="X has 5 features, but .* is expecting 6"):
        imputer().fit(X).transform(X[:, :5])
    with pytest.raises(ValueError, match="Input X contains infinity"):
        imputer().fit(np.where(IS_MISSING, np.inf, X))

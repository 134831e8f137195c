"""What estimators read: missing values, categories, data frames, and what is said of others."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sk_dbn import BernoulliRBMStack, DBNAutoencoder, DBNClassifier, DeepMLPRegressor, WarmStart
from sk_dbn.likelihood import log_likelihood

RANDOM = np.random.RandomState(0)
N = 60
CODES = RANDOM.randint(3, size=N)
Y = (CODES == 1).astype(int)
BINARY = (RANDOM.random_sample((N, 6)) < 0.4).astype(float)
GAPS = np.where(RANDOM.random_sample(BINARY.shape) < 0.3, np.nan, BINARY)
LISTED = scipy.sparse.csr_array(~np.isnan(GAPS), dtype=float)
LISTED.data[:] = GAPS[~np.isnan(GAPS)]  # zeros are stored
QUIZ = RANDOM.randint(4, size=(N, 4))


def frame(levels="xyz"):
    """A number and a column of categories with these levels, of which x, y and z occur."""
    letters = pd.Categorical(np.array(list("xyz"))[CODES], categories=list(levels))
    table = pd.DataFrame({"number": CODES + RANDOM.normal(size=N), "letter": letters})
    table.loc[::9, "letter"] = None
    return table


def small(**parameters):
    """A stack that trains fast."""
    return BernoulliRBMStack((4,), **({"max_iter": 2, "random_state": 0} | parameters))


def network(**parameters):
    """A classifier that trains fast."""
    return DBNClassifier((4,), **({"max_iter": 3, "random_state": 0} | parameters))


def test_dtypes_of_frames_tell_what_has_categories():
    """All levels count, also those that do not occur, in the order of the dtype."""
    stack = small().fit(frame("zyxw"))
    assert stack.visible_.tolist() == ["gaussian", "categorical"]
    assert stack.categories_[0] is None and stack.categories_[1].tolist() == list("zyxw")
    assert stack.coefs_[0].shape == (5, 4)


def test_categories_are_known_by_their_labels():
    """Whatever their order, and whether the column has the dtype at all."""
    table = frame()
    stack = small().fit(table)
    reordered = table.assign(letter=table.letter.cat.set_categories(list("zwyx")))
    as_text = table.assign(letter=table.letter.astype(object))
    expected = stack.transform(table)
    for other in (reordered, as_text):
        np.testing.assert_array_equal(stack.transform(other), expected)
    for wrapper in (FrozenEstimator, WarmStart):
        dbn = network(pretrainer=wrapper(stack)).fit(reordered, Y)
        np.testing.assert_array_equal(dbn.predict(reordered), dbn.predict(table))
    frozen = network(pretrainer=FrozenEstimator(stack)).fit(reordered, Y)
    np.testing.assert_allclose(frozen.transform(as_text), expected, rtol=1e-6)


@pytest.mark.parametrize("levels", ["zyx", "xyzw"])
def test_labels_stay_while_training_goes_on(levels):
    """As the weights do that were learned for them."""
    table = frame()
    stack = small(warm_start=True).fit(table)
    known = table.assign(letter=table.letter.cat.set_categories(list(levels)))
    stack.fit(known).partial_fit(known)
    assert stack.categories_[1].tolist() == list("xyz")


def test_labels_are_those_of_the_last_fit():
    """A matrix has none."""
    stack = small().fit(frame())
    stack.fit(RANDOM.normal(size=(N, 2)))
    assert stack.visible_ == "gaussian" and stack.categories_ is None


@pytest.mark.parametrize("pretrainer", ["auto", BernoulliRBMStack(max_iter=2)])
def test_networks_know_categories_by_their_labels(pretrainer):
    """By the stack that they need for that, which 'auto' makes."""
    table = frame()
    dbn = network(pretrainer=pretrainer).fit(table, Y)
    assert dbn.pretrainer_.visible_.tolist() == ["gaussian", "categorical"]
    reordered = table.assign(letter=table.letter.cat.set_categories(list("zyx")))
    np.testing.assert_array_equal(dbn.predict_proba(reordered), dbn.predict_proba(table))
    with pytest.raises(ValueError, match="unknown categories .'q'. in feature 'letter'"):
        dbn.predict(table.assign(letter="q"))


def test_unknown_labels():
    """An error that names column and labels, of any types, or missing values."""
    table, stack = frame(), small()
    stack.fit(table)
    strange = table.assign(letter=["q", 3] * (N // 2))
    with pytest.raises(ValueError, match="'q', 3. in feature 'letter'.*'x', 'y', 'z'"):
        stack.transform(strange)
    stack.set_params(handle_unknown="ignore")
    missing = table.assign(letter=None)
    np.testing.assert_array_equal(stack.transform(strange), stack.transform(missing))


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("form", [lambda kind: kind, lambda kind: {"letter": kind}])
def test_labels_are_no_numbers(kind, form):
    """Codes must not be taken for numbers because one forgot the column."""
    with pytest.raises(ValueError, match=f"pandas' dtype for categories, got '{kind}'"):
        small(visible=form(kind)).fit(frame())


def test_categories_that_are_numbers_stay_numbers():
    """In arrays too; frames have the dtype of the one that was completed, with its order."""
    dtype = pd.CategoricalDtype([4, 2, 1, 3], ordered=True)
    table = pd.DataFrame(QUIZ + 1, columns=list("abcd")).astype(dtype)
    table.loc[::5, "b"] = None
    stack = small().fit(table)
    assert stack.categories_[1].tolist() == [1, 2, 3, 4]
    known = table.notna().to_numpy()
    np.testing.assert_array_equal(stack.complete(table)[known], (QUIZ + 1)[known])
    done = stack.set_output(transform="pandas").complete(table)
    assert (done.dtypes == dtype).all() and (done["a"] == table["a"]).all()
    assert stack.predict_feature_proba(table, "b").shape == (N, 4)


def test_columns_in_another_order():
    """scikit-learn's error, not one of unknown categories."""
    table = frame()
    for handle_unknown in ("error", "ignore"):
        stack = small(handle_unknown=handle_unknown).fit(table)
        with pytest.raises(ValueError, match="Feature names must be in the same order"):
            stack.transform(table[["letter", "number"]])


@pytest.mark.parametrize("set_output", ["default", "pandas"])
def test_completed_frames_have_their_categories(set_output):
    """The most probable label, never a mean of codes."""
    table = frame()
    stack = small(max_iter=30).fit(table).set_output(transform=set_output)
    done = stack.complete(table)
    if set_output == "pandas":
        assert done.letter.dtype == table.letter.dtype and not done.isna().any(axis=None)
        known = table.letter.notna()
        assert (done.letter[known] == table.letter[known]).all()
    else:
        assert set(done[:, 1]) <= {0.0, 1.0, 2.0}


def test_categories_of_arrays():
    """Those that occur, or those that are given; values beyond them are errors or missing."""
    stack = small(visible="categorical").fit(QUIZ)
    assert [each.tolist() for each in stack.categories_] == [[0, 1, 2, 3]] * 4
    other = QUIZ.astype(float)
    other[0, 2] = 7
    with pytest.raises(ValueError, match="unknown categories .7.0. in feature 2"):
        stack.transform(other)
    missing = np.where(other == 7, np.nan, other)
    stack.set_params(handle_unknown="ignore")
    np.testing.assert_array_equal(stack.transform(other), stack.transform(missing))
    for given in (range(9), pd.Series(range(9), index=range(5, 14)), [range(9)] * 4):
        wide = small(visible="categorical", categories=given).fit(QUIZ)
        assert [len(each) for each in wide.categories_] == [9] * 4
    with pytest.warns(UserWarning, match="categories has no effect"):
        small(categories=[0, 1]).fit(BINARY)


@pytest.mark.parametrize("categories, message", [
    ([[0, 1]] * 3, "list with one array for each of these: 4, got 3"),
    (["a", "b"], "array of numbers"),
    ([0, 0, 1], "each once"),
    ([0, np.nan], "finite"),
    ([0, 1], "unknown categories .*in feature 0"),
])  # fmt: skip
def test_bad_categories(categories, message):
    """Each error says what is wrong."""
    with pytest.raises(ValueError, match=message):
        small(visible="categorical", categories=categories).fit(QUIZ)


def test_networks_check_categories_wherever_they_read():
    """In partial_fit, in validation samples, and for a stack that was fitted before."""
    other = QUIZ.copy()
    other[0] = 7
    stack = small(visible="categorical")
    dbn = network(pretrainer=clone(stack)).partial_fit(QUIZ, Y, classes=[0, 1])
    for method in (dbn.predict, lambda X: dbn.partial_fit(X, Y)):
        with pytest.raises(ValueError, match="unknown categories"):
            method(other)
    with pytest.raises(ValueError, match="unknown categories"):
        network(pretrainer=clone(stack), early_stopping=True).fit(QUIZ, Y, X_val=other, y_val=Y)
    with pytest.raises(ValueError, match="unknown categories"):
        network(pretrainer=FrozenEstimator(clone(stack).fit(QUIZ))).fit(other, Y)


def test_samples_without_weight_have_no_categories():
    """A weight of 0 is the same as leaving the sample out."""
    other, weight = QUIZ.copy(), np.ones(N)
    other[0], weight[0] = 7, 0
    dbn = network(pretrainer=small(visible="categorical")).fit(other[1:], Y[1:])
    weighted = clone(dbn).set_params(pretrainer__handle_unknown="ignore").fit(other, Y, weight)
    assert weighted.pretrainer_.categories_[0].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(weighted.coefs_[0], dbn.coefs_[0])


def test_initial_weights_of_categories():
    """One row for each category."""
    init = [np.full((16, 4), 0.1), np.full((4, 1), 0.1)]
    dbn = network(init=init, pretrainer=small(visible="categorical")).fit(QUIZ, Y)
    assert dbn.coefs_[0].shape == (16, 4)


@pytest.mark.parametrize("make", [
    lambda: network(),
    lambda: network(pretrainer=small()),
    lambda: DeepMLPRegressor((4,), activation="logistic", pretrainer=small(), max_iter=3),
])  # fmt: skip
def test_networks_read_missing_values_by_their_stack(make):
    """Dense or sparse; the same as with the value that counts as much as a missing one."""
    estimator = make().fit(GAPS, Y)
    assert estimator.__sklearn_tags__().input_tags.allow_nan
    visible = estimator.pretrainer_.visible_mean_, estimator.pretrainer_.visible_scale_
    filled = np.where(np.isnan(GAPS), np.nanmean(GAPS, axis=0), GAPS)
    np.testing.assert_allclose(estimator.predict(GAPS), estimator.predict(filled), rtol=1e-5)
    assert all(np.isfinite(part).all() for part in visible)


def test_networks_read_sparse_ratings():
    """What is not stored is missing, in `fit` and after it."""
    dense = network(pretrainer=small()).fit(GAPS, Y)
    listed = network(pretrainer=small(not_stored="missing")).fit(LISTED, Y)
    np.testing.assert_array_equal(listed.coefs_[0], dense.coefs_[0])
    np.testing.assert_array_equal(listed.predict_proba(LISTED), dense.predict_proba(GAPS))


@pytest.mark.parametrize("fit", [
    lambda: DeepMLPRegressor((4,)).fit(GAPS, Y),
    lambda: network(activation="gelu").fit(GAPS, Y),
    lambda: network(pretrainer=None).fit(GAPS, Y),
    lambda: network(pretrainer=small(algorithm="pcd")).fit(GAPS, Y),
    lambda: network().fit(BINARY, Y).predict(GAPS),
    lambda: network().fit(BINARY, Y).partial_fit(GAPS, Y),
    lambda: network(warm_start=True).fit(BINARY, Y).fit(GAPS, Y),
    lambda: network(early_stopping=True).fit(BINARY, Y, X_val=GAPS, y_val=Y),
])  # fmt: skip
def test_networks_without_a_stack_name_the_remedy(fit):
    """They cannot read missing values."""
    with pytest.raises(ValueError, match="(?s)contains NaN.*BernoulliRBMStack.*Imputer"):
        fit()


@pytest.mark.parametrize("algorithm", ["pcd", "fpcd", "pt"])
def test_persistent_chains_need_all_values(algorithm):
    """In training; categories too."""
    with pytest.raises(ValueError, match="contains NaN. algorithm must be 'cd'"):
        small(algorithm=algorithm).fit(GAPS)
    with pytest.raises(ValueError, match="algorithm must be 'cd' if X has missing values"):
        small(algorithm=algorithm, not_stored="missing").fit(LISTED)
    with pytest.raises(ValueError, match="algorithm must be 'cd' if X has categories"):
        small(algorithm=algorithm, visible="categorical").fit(QUIZ)
    assert not np.isnan(small(algorithm=algorithm).fit(BINARY).complete(GAPS, n_steps=3)).any()


def test_what_X_means_stays_while_training_goes_on():
    """The references and biases belong to it."""
    stack = small(warm_start=True).fit(LISTED)
    with pytest.raises(ValueError, match="not_stored must stay as it was, got 'missing'"):
        stack.set_params(not_stored="missing").fit(LISTED)
    quiz = small(warm_start=True, visible="categorical").fit(QUIZ)
    quiz.set_params(categories=[0, 1, 2, 3]).fit(QUIZ)
    with pytest.raises(ValueError, match="categories must stay as they were, got .*9"):
        quiz.set_params(categories=[0, 1, 2, 3, 9]).fit(QUIZ)


def test_entries_that_are_listed_twice_add_up():
    """As everywhere in SciPy; `complete` returns the sum, which has been observed."""
    twice = scipy.sparse.csr_array(([0.5, 0.5, 1.0], [0, 0, 2], [0, 3]), shape=(1, 6))
    stack = small(not_stored="missing").fit(LISTED)
    assert stack.complete(twice)[0, 0] == 1.0 and stack.complete(twice)[0, 2] == 1.0


def test_a_feature_without_values_says_nothing_of_others():
    """Not of their range, for one."""
    X = np.column_stack([RANDOM.uniform(100, 200, size=(N, 3)), np.full(N, np.nan)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the range is not [0, 1]
        with_gap, without = (small(visible="bernoulli").fit(x) for x in (X, X[:, :3]))
    np.testing.assert_array_equal(with_gap.visible_mean_[:3], without.visible_mean_)
    assert np.isfinite(with_gap.complete(X)).all()
    with pytest.raises(ValueError, match="all are missing"):
        small().fit(np.full((5, 2), np.nan))


def test_autoencoders_read_sparse_ratings():
    """Scores are of what is stored."""
    dense = DBNAutoencoder((3,), pretrainer=small(), max_iter=3, random_state=0).fit(GAPS)
    listed = clone(dense).set_params(pretrainer__not_stored="missing").fit(LISTED)
    np.testing.assert_allclose(listed.score_samples(LISTED), dense.score_samples(GAPS), rtol=1e-5)


@pytest.mark.parametrize("visible", ["categorical", {0: "categorical"}, ["categorical"] * 4])
def test_autoencoders_have_no_categories(visible):
    """Their outputs are numbers."""
    with pytest.raises(ValueError, match="categorical"):
        DBNAutoencoder((3,), visible=visible).fit(QUIZ)


def test_likelihoods_need_all_values():
    """Samples with other visible units have other partition functions."""
    for stack, X in ((small(), GAPS), (small(not_stored="missing"), LISTED)):
        with pytest.raises(ValueError, match="likelihoods need all values"):
            log_likelihood(stack.fit(X), X)
    with pytest.raises(ValueError, match="likelihoods are not available for visible='categorical'"):
        log_likelihood(small(visible="categorical").fit(QUIZ), QUIZ)


@pytest.mark.parametrize("algorithm", ["cd", "pcd"])
def test_what_is_predicted_is_not_read(algorithm):
    """A feature's distribution does not depend on what X has for it."""
    stack = small(algorithm=algorithm).fit(BINARY)
    X = BINARY.copy()
    expected = stack.predict_feature_proba(X, 2)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0)
    quiz = small(visible="categorical").fit(QUIZ)
    strange = np.where(np.arange(4) == 1, 9, QUIZ)
    expected_of_quiz = quiz.predict_feature_proba(QUIZ, 1)
    np.testing.assert_array_equal(quiz.predict_feature_proba(strange, 1), expected_of_quiz)
    for value in (np.nan, 0.3):
        X[:, 2] = value
        np.testing.assert_array_equal(stack.predict_feature_proba(X, 2), expected)
    with pytest.raises(ValueError, match="feature must be categorical or Bernoulli"):
        small(visible="gaussian").fit(BINARY).predict_feature_proba(BINARY, 0)
    for feature in (6, "a", True):
        with pytest.raises(ValueError, match="feature must be the index or the name"):
            stack.predict_feature_proba(BINARY, feature)


def test_searches_over_frames_with_gaps():
    """Folds that lack a rare category know it."""
    table = frame("xyzw")
    table.loc[0, "letter"] = "w"
    search = GridSearchCV(network(), {"hidden_layer_sizes": [(3,), (5,)]}, cv=3)
    search.fit(table, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert make_pipeline(SimpleImputer(), network()).fit(GAPS, Y).score(GAPS, Y) > 0


def test_a_series_is_no_table():
    """scikit-learn's error, as for any other one-dimensional data."""
    with pytest.raises(ValueError, match="2"):
        small().fit(pd.Series(BINARY[:, 0], name="pixel"))

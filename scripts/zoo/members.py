"""Classifiers of classifiers: ensembles, calibration, one against the rest. What
their exports ask of a member is not always what scikit-learn asks of it."""

from entry import ML, skl
from plain import scaled
from sklearn import calibration, discriminant_analysis, ensemble, linear_model, multiclass, preprocessing, svm, tree

SEED = {"random_state": 0}
SVC, LINEAR, SURE = svm.SVC(), svm.LinearSVC(**SEED), svm.SVC(probability=True, **SEED)
FEW = {"n_estimators": 4, **SEED}
RUNTIME = "[ONNXRuntimeError]"


def of(name, estimator, two=False, labels=None, **more):
    """Register a classifier of scaled features, of three classes or of two."""
    skl(name, scaled(estimator), "cancer" if two else "wine", labels, **more)


def beside(member):
    """Return members to vote with another."""
    return [("t", tree.DecisionTreeClassifier(max_depth=3, **SEED)), ("m", member), ("l", linear_model.LogisticRegression())]


def voting(member):
    return ensemble.VotingClassifier(beside(member), flatten_transform=False)


def stacking(member):
    return ensemble.StackingClassifier(beside(member), cv=3)


def calibrated(member, **more):
    return calibration.CalibratedClassifierCV(member, cv=3, **more)


of("bagging_of_svc", ensemble.BaggingClassifier(SVC, **FEW))
of("bagging_of_svc_two_strings", ensemble.BaggingClassifier(SVC, **FEW), True, "two strings")
of("bagging_of_linear_svc", ensemble.BaggingClassifier(LINEAR, **FEW))
of("bagging_of_svc_opset_12", ensemble.BaggingClassifier(SVC, **FEW), True, target_opset={"": 12, ML: 2})
of("bagging_of_svc_probability", ensemble.BaggingClassifier(SURE, **FEW), True)
of("voting_of_svc", voting(SVC))
of("voting_of_svc_two", voting(SVC), True)
of("voting_of_linear_svc_two", voting(LINEAR), True)
of("voting_of_svc_probability_two", voting(SURE), True)
of("stacking_of_svc", stacking(SVC))
of("stacking_of_svc_two", stacking(SVC), True, refused=RUNTIME)
of("stacking_of_linear_svc_two", stacking(LINEAR), True, refused=RUNTIME)
of("stacking_of_svc_probability", stacking(SURE), True)
of("ada_boost_of_svc", ensemble.AdaBoostClassifier(SVC, **FEW))
of("ada_boost_of_svc_two", ensemble.AdaBoostClassifier(SVC, **FEW), True)
of("ada_boost_of_linear_svc_two", ensemble.AdaBoostClassifier(LINEAR, **FEW), True)
of("ada_boost_of_svc_probability", ensemble.AdaBoostClassifier(SURE, **FEW))
of("one_vs_rest_of_svc", multiclass.OneVsRestClassifier(SVC))
of("one_vs_rest_of_svc_two", multiclass.OneVsRestClassifier(SVC), True)
of("one_vs_rest_of_linear_svc", multiclass.OneVsRestClassifier(LINEAR))
of("one_vs_rest_of_linear_svc_two", multiclass.OneVsRestClassifier(LINEAR), True)
skl("one_vs_rest_of_svc_several_labels", scaled(multiclass.OneVsRestClassifier(SVC)), "marks")
skl("one_vs_rest_of_linear_svc_several_labels", multiclass.OneVsRestClassifier(LINEAR), "marks")
of("one_vs_one_of_svc", multiclass.OneVsOneClassifier(SVC))
of("one_vs_one_of_svc_two", multiclass.OneVsOneClassifier(SVC), True)
of("calibrated_svc", calibrated(SVC))
of("calibrated_svc_pair", calibrated(SVC), True)
of("calibrated_svc_probability", calibrated(SURE))
of("calibrated_svc_probability_two", calibrated(SURE), True)
of("calibrated_quadratic_discriminant", calibrated(discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1)))
of("calibrated_isotonic_logistic", calibrated(linear_model.LogisticRegression(), method="isotonic"))
of("calibrated_isotonic_forest", calibrated(ensemble.RandomForestClassifier(8, max_depth=5, **SEED), method="isotonic"))
skl("normalizer_max_of_negatives", preprocessing.Normalizer("max"), "diabetes")

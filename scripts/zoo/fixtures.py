"""The part of the zoo that is committed, so that `go test ./...` alone has some
of each kind."""

NAMES = """
multi_output_of_marks tree_of_three decision_tree_booleans decision_tree_decision_leaf random_forest_classifier random_forest_opset_9
gradient_boosting_classifier_two hist_gradient_boosting_missing stacking_classifier logistic_strings logistic_ml_5 logistic_of_integers
xgboost_classifier_missing xgboost_random_forest_regressor lightgbm_classifier_categories lightgbm_classifier_two_missing
lightgbm_regressor_dart lightgbm_ranker piped_lightgbm catboost_classifier catboost_regressor_missing
""".split()

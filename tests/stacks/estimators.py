"""scikit-learn and SciPy: estimators, in this process, in threads and in worker processes."""
import warnings

import numpy as np
import scipy.fft
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

warnings.simplefilter("ignore")


def exact(numbers):
    return [float(number).hex() for number in np.ravel(numbers)]


inputs, digits = load_digits(return_X_y=True)
print("vectors", exact(cross_val_score(SVC(gamma=0.001), inputs[:600], digits[:600], cv=3)))
forest = RandomForestClassifier(20, random_state=1, n_jobs=2).fit(inputs[:800], digits[:800])
print("forest, two threads", exact(forest.score(inputs[800:], digits[800:])))
# n_jobs=2 starts two worker processes, which map what they are given.
logistic = LogisticRegression(max_iter=40)
print("logistic, two processes", exact(cross_val_score(logistic, inputs[:300], digits[:300], cv=4, n_jobs=2)))
print("means", exact(KMeans(10, n_init=2, random_state=3).fit(inputs[:500]).inertia_))

print("singular values", exact(scipy.linalg.svdvals(inputs[:50] / 16)[:5]))
print("minimum", exact(scipy.optimize.minimize(lambda v: ((v - 3) ** 2).sum(), [0, 0]).x))
print("transform", exact(abs(scipy.fft.fft(inputs[0])).sum()))
print("integral", exact(scipy.integrate.quad(np.cos, 0, 1)))
sparse = scipy.sparse.diags([-1, 2.5, -1], [-1, 0, 1], shape=(200, 200), format="csc")
print("sparse", exact(scipy.sparse.linalg.spsolve(sparse, np.ones(200)))[:3])

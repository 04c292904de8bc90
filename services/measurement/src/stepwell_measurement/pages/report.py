"""One person's trajectories as JSON: what was measured, what follows from it by which numbers, and in plain words."""

from typing import Any

from stepwell_shared.canonical import instant

from stepwell_measurement.data import words
from stepwell_measurement.rules.reliable_change import Score, shown
from stepwell_measurement.rules.trajectory import Trajectory, TrajectoryParameters
from stepwell_measurement.use_cases.viewing import GoalShown, View, Way

Json = dict[str, Any]


def trajectory_report(view: View, language: str) -> Json:
    """Everything that the plot shows, and what it rests on; null is not known."""
    ended = view.care.discharged_at
    return {
        "patient": view.patient,
        "language": language,
        "careEndedAt": instant(ended) if ended else None,
        "function": view.function.value,
        "symptoms": view.symptoms.value,
        "trajectories": [_way(way, language) for way in view.ways],
        "goals": [_goal(goal) for goal in view.goals],
    }


def _goal(goal: GoalShown) -> Json:
    """A goal in the person's own words; how far it has come goes from 0 (not begun) to 10 (fully reached)."""
    return {
        "goal": goal.reference,
        "words": goal.words,
        "lifecycleStatus": goal.lifecycle,
        "attainment": [{"effective": instant(moment), "value": value} for moment, value in goal.attained],
    }


def _way(way: Way, language: str) -> Json:
    parameters = way.parameters
    return {
        "instrument": parameters.change.instrument,
        "title": parameters.title,
        "domain": parameters.domain,
        "about": words.domain(parameters.domain, language),
        "code": {"system": way.system, "code": way.code},
        "scale": {
            "lowest": parameters.lowest,
            "highest": parameters.highest,
            "higherIsWorse": parameters.change.higher_is_worse,
            "casenessAtLeast": parameters.caseness_at_least,
            "remissionBelow": parameters.remission_below,
        },
        "scores": [{**_score(point.score), "counted": not point.score.prorated} for point in way.points],
        "words": words.standing(way.path.standing if way.path else "not-available", language),
        **({"trajectory": _path(parameters, way.path)} if way.path else {}),
    }


def _path(parameters: TrajectoryParameters, path: Trajectory) -> Json:
    return {
        "standing": path.standing.value,
        "measures": path.count,
        "baseline": _score(path.baseline),
        "best": _score(path.best),
        "last": _score(path.last),
        "change": path.change,
        "reliableChange": _change(parameters, path),
        "reliableChangeFromBest": path.reliable_change_from_best.outcome.value,
        "importantChange": path.important_change,
        "response": path.response,
        "remission": path.remission,
        "caseAtBaseline": path.case_at_baseline,
        "caseNow": path.case_now,
        "recovery": path.recovery,
        "stalled": path.stalled,
        "onTrack": path.track.value,
        "relapse": path.relapse,
    }


def _change(parameters: TrajectoryParameters, path: Trajectory) -> Json:
    result = path.reliable_change
    return {
        "outcome": result.outcome.value,
        "threshold": shown(result.threshold) if result.threshold is not None else None,
        "thresholdIncluded": result.inclusive,
        "parameterSet": parameters.change.parameter_set,
        "source": parameters.change.source,
        "reason": result.reason,
    }


def _score(score: Score) -> Json:
    return {"observation": score.reference, "effective": instant(score.effective), "value": score.value}

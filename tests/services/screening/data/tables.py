"""What the published instruments ask, by the sources: LOINC code of each question and the weight of each answer code.

Sources: LOINC panels 44249-1, 55757-9, 69724-3, 69737-5, 69728-4, 69729-2, 91148-7, 72109-2 and the answer list
LL358-3; LOINC's own FHIR forms 72109-2 and 91148-7 for the words of the AUDIT-C and the PEG; Prins 2016
(PMC5023594) for the PC-PTSD-5; the ASQ tool of the National Institute of Mental Health.
"""

Weights = dict[str, int]
FREQUENCY: Weights = {"LA6568-5": 0, "LA6569-3": 1, "LA6570-1": 2, "LA6571-9": 3}
"""LOINC answer list LL358-3."""
BOTHER: Weights = {"phq-15-0": 0, "phq-15-1": 1, "phq-15-2": 2}
"""Kroenke 2002, PHQ-15: 0 to 2; no LOINC answer codes."""
YES_NO: Weights = {"LA32-8": 0, "LA33-6": 1}
ASQ: Weights = {**YES_NO, "asq-declined": 1}
"""A refusal counts as positive."""

PHQ_9 = {
    "44250-9": "Little interest or pleasure in doing things",
    "44255-8": "Feeling down, depressed, or hopeless",
    "44259-0": "Trouble falling or staying asleep, or sleeping too much",
    "44254-1": "Feeling tired or having little energy",
    "44251-7": "Poor appetite or overeating",
    "44258-2": "Feeling bad about yourself - or that you are a failure or have let yourself or your family down",
    "44252-5": "Trouble concentrating on things, such as reading the newspaper or watching television",
    "44253-3": (
        "Moving or speaking so slowly that other people could have noticed. Or the opposite - being so fidgety or "
        "restless that you have been moving around a lot more than usual"
    ),
    "44260-8": "Thoughts that you would be better off dead, or of hurting yourself in some way",
}
GAD_7 = {
    "69725-0": "Feeling nervous, anxious, or on edge",
    "68509-9": "Not being able to stop or control worrying",
    "69733-4": "Worrying too much about different things",
    "69734-2": "Trouble relaxing",
    "69735-9": "Being so restless that it is hard to sit still",
    "69689-8": "Becoming easily annoyed or irritable",
    "69736-7": "Feeling afraid as if something awful might happen",
}
PHQ_15 = {
    "69671-6": "Stomach pain",
    "69672-4": "Back pain",
    "69673-2": "Pain in your arms, legs, or joints (knees, hips, etc.)",
    "69674-0": "Menstrual cramps or other problems with your periods",
    "69717-7": "Pain or problems during sexual intercourse",
    "69675-7": "Headaches",
    "69676-5": "Chest pain",
    "69677-3": "Dizziness",
    "69678-1": "Fainting spells",
    "69679-9": "Feeling your heart pound or race",
    "69680-7": "Shortness of breath",
    "69681-5": "Constipation, loose bowels, or diarrhea",
    "69682-3": "Nausea, gas, or indigestion",
    "69731-8": "Feeling tired or having low energy",
    "69732-6": "Trouble sleeping",
}
PEG = {
    "75893-8": "What number best describes your pain on average in the past week?",
    "91145-3": (
        "What number best describes how, during the past week, pain has interfered with your enjoyment of life?"
    ),
    "91146-1": "What number best describes how, during the past week, pain has interfered with your general activity?",
}
AUDIT_C = {
    "68518-0": "How often do you have a drink containing alcohol?",
    "68519-8": "How many standard drinks containing alcohol do you have on a typical day?",
    "68520-6": "How often do you have 6 or more drinks on 1 occasion?",
}
AUDIT_C_WEIGHTS: dict[str, Weights] = {
    "68518-0": {"LA6270-8": 0, "LA18926-8": 1, "LA18927-6": 2, "LA18928-4": 3, "LA18929-2": 4},
    "68519-8": {"LA15694-5": 0, "LA15695-2": 1, "LA18930-0": 2, "LA18931-8": 3, "LA18932-6": 4},
    "68520-6": {"LA6270-8": 0, "LA18933-4": 1, "LA18876-5": 2, "LA18891-4": 3, "LA18934-2": 4},
}
PC_PTSD_5 = {
    "pc-ptsd-5-1": "Had nightmares about the event(s) or thought about the event(s) when you did not want to?",
    "pc-ptsd-5-2": (
        "Tried hard not to think about the event(s) or went out of your way to avoid situations that reminded you of "
        "the event(s)?"
    ),
    "pc-ptsd-5-3": "Been constantly on guard, watchful, or easily startled?",
    "pc-ptsd-5-4": "Felt numb or detached from people, activities, or your surroundings?",
    "pc-ptsd-5-5": (
        "Felt guilty or unable to stop blaming yourself or others for the event(s) or any problems the event(s) may "
        "have caused?"
    ),
}
ASQ_QUESTIONS = {
    "asq-1": "In the past few weeks, have you wished you were dead?",
    "asq-2": "In the past few weeks, have you felt that you or your family would be better off if you were dead?",
    "asq-3": "In the past week, have you been having thoughts about killing yourself?",
    "asq-4": "Have you ever tried to kill yourself?",
    "asq-5": "Are you having thoughts of killing yourself right now?",
}

FIRST_OF_PHQ_9 = dict(list(PHQ_9.items())[:2])
FIRST_OF_GAD_7 = dict(list(GAD_7.items())[:2])
PHQ_8 = {code: words for code, words in PHQ_9.items() if code != "44260-8"}


def _alike(words: dict[str, str], weights: Weights | None) -> dict[str, Weights | None]:
    return dict.fromkeys(words, weights)


SCORED: dict[str, tuple[str, dict[str, str], dict[str, Weights | None]]] = {
    "phq-2": ("55757-9", FIRST_OF_PHQ_9, _alike(FIRST_OF_PHQ_9, FREQUENCY)),
    "phq-4": ("69724-3", FIRST_OF_GAD_7 | FIRST_OF_PHQ_9, _alike(FIRST_OF_GAD_7 | FIRST_OF_PHQ_9, FREQUENCY)),
    "phq-8": ("phq-8-panel", PHQ_8, _alike(PHQ_8, FREQUENCY)),
    "phq-9": ("44249-1", PHQ_9, _alike(PHQ_9, FREQUENCY)),
    "phq-15": ("69728-4", PHQ_15, _alike(PHQ_15, BOTHER)),
    "phq-sads": ("69729-2", PHQ_15 | GAD_7 | PHQ_9, _alike(PHQ_15, BOTHER) | _alike(GAD_7 | PHQ_9, FREQUENCY)),
    "gad-2": ("gad-2-panel", FIRST_OF_GAD_7, _alike(FIRST_OF_GAD_7, FREQUENCY)),
    "gad-7": ("69737-5", GAD_7, _alike(GAD_7, FREQUENCY)),
    "peg": ("91148-7", PEG, _alike(PEG, None)),
    "audit-c": ("72109-2", AUDIT_C, {**AUDIT_C_WEIGHTS}),
    "pc-ptsd-5": ("pc-ptsd-5-panel", PC_PTSD_5, _alike(PC_PTSD_5, YES_NO)),
    "asq": ("asq-panel", ASQ_QUESTIONS, _alike(ASQ_QUESTIONS, ASQ)),
}
"""By instrument: the code of the panel, its scored questions in their order with their words, and the weights of each
question's answers (None where the number itself is the answer)."""

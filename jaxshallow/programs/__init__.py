"""The programs behind `jaxshallow train` and `python scripts/train.py`. `cli` picks one; each has a `main(argv)`.

They need the extra `scripts`. Nothing else in the library imports them.

train, sweep, predict, export, compare   the programs
cli, options, running, extra, saved      what they share: the command line, messages, exit codes, models from files
keeper, examples, scores, progress       what train and sweep share: checkpoints, examples, scores, progress
reporting, by_evidence                   their reports, and how they ask the evidence
export_check                             part of export: does the file answer as the model does?
course, demos                            parts of train: the course's exercise, the notes' questions
train_options, train_task, train_results, train_files, train_evidence,
train_preset                             what it trains, and by which way, and what it writes
sweep_options, sweep_space, sweep_examples, sweep_kinds, sweep_best, sweep_pictures, sweep_results,
sweep_evidence                           parts of sweep
"""

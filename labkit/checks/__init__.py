"""What an exercise must do: checks that take a student's object and a seed, and tell what happened.

subject    the seam: how a check asks the student's code, in this process or in another
plain      the values that pass it
limit      no call lasts for ever
blame      the student's own line
pipe       questions and answers as text, for a process at the other end of a pipe
bench      steps and expectations
exercise   parts with points, put together
report     what came of it, as plain data; `card` shows it
week01 …   the exercises themselves
"""

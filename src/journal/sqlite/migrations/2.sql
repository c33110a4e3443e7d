-- Format 2. Never edited: what follows from a change is a new file beside this one.

-- Fewer indexes, because each is a page more to write when a task is created.

-- The tasks under way. With the owner, whose number of them is asked before each new one where there
-- is a bound; children, which do not count there, have a depth. With the runner, for when it goes.
DROP INDEX tasks_under_way;
CREATE INDEX tasks_open ON tasks (owner, parent_depth, runner)
    WHERE status IN ('working', 'input_required');

-- The few that have news, of all that a runner has.
DROP INDEX tasks_leased;
CREATE INDEX tasks_nudged ON tasks (runner) WHERE runner IS NOT NULL AND nudges > 0;

-- Where there is one user, as a rule nobody is the owner of anything: what would be listed by this
-- index is the whole table, which lies in the same order.
DROP INDEX tasks_of_owner;
CREATE INDEX tasks_of_owner ON tasks (owner) WHERE owner IS NOT NULL;

-- Format 2: how many tasks of an owner are under way is asked before each new one where there is a
-- bound. Without this index that would read every task that the owner has ever had.
CREATE INDEX tasks_under_way ON tasks (owner)
    WHERE parent IS NULL AND status IN ('working', 'input_required');

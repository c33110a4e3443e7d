//! Tasks below the tasks that started them.

use std::collections::{HashMap, HashSet};

use relight::journal::{Filter, Result, Store, Task, TaskId, all_tasks};
use serde_json::Value;

use super::task_json;

/// A task and the tasks that it started, in the order in which it did.
pub(super) struct Tree {
    pub(super) task: Task,
    pub(super) children: Vec<Tree>,
}

impl Tree {
    /// All that was started below this task, in the order in which it was.
    pub(super) async fn below(store: &dyn Store, task: TaskId) -> Result<Vec<Tree>> {
        let mut found: Vec<Task> = Vec::new();
        let mut parents = vec![task];
        while let Some(parent) = parents.pop() {
            let filter = Filter { parent: Some(parent), ..Filter::default() };
            let children = all_tasks(store, filter).await?;
            parents.extend(children.iter().map(|child| child.id));
            found.extend(children);
        }
        let mut children = Self::forest(found);
        children.reverse();
        Ok(children)
    }

    /// These tasks as trees. One whose parent is not among them stands at the top. `tasks` are newest
    /// first, and so are the trees.
    pub(super) fn forest(tasks: Vec<Task>) -> Vec<Tree> {
        let known: HashSet<TaskId> = tasks.iter().map(|task| task.id).collect();
        let mut top = Vec::new();
        let mut below: HashMap<TaskId, Vec<Task>> = HashMap::new();
        for task in tasks {
            match task.parent.as_ref().map(|parent| parent.task) {
                Some(parent) if known.contains(&parent) => {
                    below.entry(parent).or_default().push(task);
                }
                _ => top.push(task),
            }
        }
        top.into_iter().map(|task| Self::grow(task, &mut below)).collect()
    }

    fn grow(task: Task, below: &mut HashMap<TaskId, Vec<Task>>) -> Self {
        let mut children = below.remove(&task.id).unwrap_or_default();
        children.reverse();
        let children = children.into_iter().map(|child| Self::grow(child, below)).collect();
        Self { task, children }
    }

    /// Visits all of it from above, with what to draw before each.
    pub(super) fn visit(&self, before: &str, each: &mut impl FnMut(&str, &Task)) {
        each(before, &self.task);
        let indent = before.replace("├─ ", "│  ").replace("└─ ", "   ");
        let last = self.children.len().saturating_sub(1);
        for (n, child) in self.children.iter().enumerate() {
            let branch = if n == last { "└─ " } else { "├─ " };
            child.visit(&format!("{indent}{branch}"), each);
        }
    }

    /// As scripts read it: a task with its `children`.
    pub(super) fn json(&self) -> Value {
        let mut task = task_json(&self.task);
        task["children"] = self.children.iter().map(Self::json).collect();
        task
    }
}

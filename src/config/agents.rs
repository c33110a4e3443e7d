//! Finds and reads the agent files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Error, Settings, Source, file};
use crate::agent::definition::{self, Problem};
use crate::agent::nearest::nearest;
use crate::agent::{Definition, Servers, Usage};

/// The project's tool servers, from `mcp.json`; none where there is no such file.
///
/// # Errors
/// When the file cannot be read, or is wrong.
pub fn load_servers(settings: &Settings) -> Result<Servers, Error> {
    match &settings.mcp_config {
        Some(path) => file::servers(&path.value, &path.from),
        None => Ok(Servers::new()),
    }
}

/// All agents of the directory, in the order of their files. Each has its model, and those of the
/// project's servers that it uses. `README.md` is no agent.
///
/// # Errors
/// When there are none, or with every mistake of every file; one name in two files is a mistake.
pub fn load_agents(settings: &Settings) -> Result<Vec<Definition>, Error> {
    let mut directory = Directory::read(settings)?;
    directory.problems.extend(duplicates(&directory.agents));
    directory.problems.extend(directory.wrong_callees(settings));
    match definition::Error::of(directory.problems) {
        Some(error) => Err(error.into()),
        None => Ok(directory.agents.into_iter().map(|(_, agent)| agent).collect()),
    }
}

/// One agent, by its name or by the path of its file (`*.md`). Mistakes in the files of others do
/// not stand in its way.
///
/// # Errors
/// When there is no such agent (with the nearest name, or all there are), when two files have its
/// name, or with every mistake of its file.
pub fn load_agent(settings: &Settings, name_or_path: &str) -> Result<Definition, Error> {
    let path = Path::new(name_or_path);
    if path.extension().is_some_and(|extension| extension == "md") {
        let text = file::read(path).map_err(|why| Error::Unreadable {
            path: path.to_owned(),
            why,
            from: Source::Argument,
        })?;
        return Ok(parse(path, &text, &load_servers(settings)?, settings)?);
    }

    Directory::read(settings)?.one(settings, name_or_path)
}

/// The agents of the directory that this one may call, directly or through others.
///
/// # Errors
/// When there is no such agent (with the nearest name), when two files have its name, or with every
/// mistake of their files.
pub fn load_callees(settings: &Settings, agent: &Definition) -> Result<Vec<Definition>, Error> {
    let mut callees: BTreeMap<String, Definition> = BTreeMap::new();
    let mut wanted: Vec<String> = agent.agents().to_vec();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let directory = Directory::read(settings)?;
    while let Some(name) = wanted.pop() {
        if callees.contains_key(&name) {
            continue;
        }
        let callee = directory.one(settings, &name)?;
        if let Some(model) = agent.budget().microdollars.and(unpriced(&callee, settings)) {
            let path = settings.agents.value.display().to_string();
            let message = unpriced_callee(agent.name(), &name, model);
            return Err(definition::Error::one(path, message).into());
        }
        wanted.extend(callee.agents().iter().cloned());
        callees.insert(name, callee);
    }
    Ok(callees.into_values().collect())
}

/// What the directory holds.
struct Directory {
    agents: Vec<(PathBuf, Definition)>,
    problems: Vec<Problem>,
}

impl Directory {
    fn read(settings: &Settings) -> Result<Self, Error> {
        let servers = load_servers(settings)?;
        let mut directory = Self { agents: Vec::new(), problems: Vec::new() };
        for path in files(settings)? {
            let agent = file::read(&path)
                .map_err(|why| {
                    let message = format!("cannot be read: {why}");
                    definition::Error::one(path.display().to_string(), message)
                })
                .and_then(|text| parse(&path, &text, &servers, settings));
            match agent {
                Ok(agent) => directory.agents.push((path, agent)),
                Err(error) => directory.problems.extend(error.into_problems()),
            }
        }
        Ok(directory)
    }

    /// The agent of this name.
    fn one(&self, settings: &Settings, name: &str) -> Result<Definition, Error> {
        let same: Vec<_> =
            self.agents.iter().filter(|(_, agent)| agent.name() == name).cloned().collect();
        if let Some(error) = definition::Error::of(duplicates(&same)) {
            return Err(error.into());
        }
        if let Some((_, agent)) = same.into_iter().next() {
            return Ok(agent);
        }
        // Its name may stand in a file that could not be read; then that is what to say.
        let own = self.problems.iter().filter(|problem| is_file_of(problem, name));
        if let Some(error) = definition::Error::of(own.cloned().collect()) {
            return Err(error.into());
        }
        let (hint, directory) = (self.hint(name), settings.agents.value.clone());
        Err(Error::UnknownAgent { name: name.to_owned(), directory, hint })
    }

    /// What to write in place of a name that no agent has.
    fn hint(&self, name: &str) -> String {
        let names: BTreeSet<&str> = self.agents.iter().map(|(_, agent)| agent.name()).collect();
        match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None if names.is_empty() => "no file there is free of mistakes".to_owned(),
            None => {
                let names: Vec<&str> = names.into_iter().collect();
                format!("the agents are {}", names.join(", "))
            }
        }
    }

    /// What is wrong with the agents that agents name. One whose own file is wrong is not complained
    /// of a second time.
    fn wrong_callees(&self, settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, agent) in &self.agents {
            let mut complain = |message| {
                let path = path.display().to_string();
                problems.push(Problem { path, line: None, message });
            };
            for name in agent.agents() {
                let callee = self.agents.iter().find(|(_, callee)| callee.name() == name);
                match callee.map(|(_, callee)| unpriced(callee, settings)) {
                    None if self.problems.iter().any(|problem| is_file_of(problem, name)) => {}
                    None => complain(format!(
                        "\"agents\" names {name:?}, and there is no such agent; {}",
                        self.hint(name)
                    )),
                    Some(Some(model)) if agent.budget().microdollars.is_some() => {
                        complain(unpriced_callee(agent.name(), name, model));
                    }
                    Some(_) => {}
                }
            }
        }
        problems
    }
}

/// The agent files, sorted, so that messages and lists do not depend on the file system.
fn files(settings: &Settings) -> Result<Vec<PathBuf>, Error> {
    let agents = &settings.agents;
    let none =
        |why| Error::NoAgents { directory: agents.value.clone(), why, from: agents.from.clone() };
    if !agents.value.exists() {
        return Err(none("does not exist"));
    }
    let unreadable = |error: std::io::Error| Error::Unreadable {
        path: agents.value.clone(),
        why: error.to_string(),
        from: agents.from.clone(),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&agents.value).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_agent = path.extension().is_some_and(|extension| extension == "md")
            && path.file_stem().is_some_and(|stem| !stem.eq_ignore_ascii_case("readme"));
        if is_agent {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(none("has no *.md files")) } else { Ok(files) }
}

/// Reads one agent and completes it with what is configured.
fn parse(
    path: &Path,
    text: &str,
    servers: &Servers,
    settings: &Settings,
) -> Result<Definition, definition::Error> {
    let path = path.display().to_string();
    let default: Vec<String> = settings.model.iter().map(|model| model.value.clone()).collect();
    let agent = Definition::parse_in_project(&path, text, servers)?.or_models(&default);
    let agent = agent.or_context_of(&settings.context);
    match agent.budget().microdollars.and(unpriced(&agent, settings)) {
        Some(model) => Err(definition::Error::one(
            path,
            format!(
                "\"budget.dollars\" needs the price of {model:?}; add it under \"prices\" in \
                 relight.yaml, or bound \"budget.tokens\" instead"
            ),
        )),
        None => Ok(agent),
    }
}

/// Whether the problem is one of the file that an agent of this name would have.
fn is_file_of(problem: &Problem, name: &str) -> bool {
    Path::new(&problem.path).file_stem() == Some(name.as_ref())
}

fn unpriced_callee(agent: &str, callee: &str, model: &str) -> String {
    format!(
        "\"budget.dollars\" of {agent} needs the price of {model:?}, the model of {callee}, which it \
         may call; add it under \"prices\" in relight.yaml, or bound \"budget.tokens\" instead"
    )
}

/// A model of the agent whose cost cannot be held against a budget in dollars.
fn unpriced<'a>(agent: &'a Definition, settings: &Settings) -> Option<&'a String> {
    let priced = |model: &str| settings.prices.cost(model, &Usage::default()).is_some();
    agent.models().iter().find(|model| !priced(model))
}

/// One problem for every file whose agent has a name that an earlier file has.
fn duplicates(agents: &[(PathBuf, Definition)]) -> Vec<Problem> {
    let mut first = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, agent) in agents {
        let path = path.display().to_string();
        match first.get(agent.name()) {
            None => {
                first.insert(agent.name(), path);
            }
            Some(earlier) => {
                let message = format!(
                    "the name {:?} is taken by {earlier}; every agent needs its own",
                    agent.name()
                );
                problems.push(Problem { path, line: None, message });
            }
        }
    }
    problems
}

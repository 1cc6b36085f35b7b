//! Keyed state: counts the words of a text, on as many workers as asked for.
//!
//! `cargo run --example word_count -- -w 2`

use waterwheel::prelude::*;

const TEXT: &str = "the wheel turns the water and the water turns the wheel";

fn main() -> Result<()> {
    let (config, _rest) = RuntimeConfig::from_args(std::env::args().skip(1))?;
    let counts = execute(config, |env| {
        let words = env.from_iter(TEXT.split(' ').map(String::from)).rebalance();
        let counted = words.key_by_ref(|word| word).process_function(Count);
        Ok(counted.collect())
    })?;
    let mut counts = counts.concat();
    counts.sort();
    for (word, n) in counts {
        eprintln!("{word}: {n}");
    }
    Ok(())
}

/// Counts in the state of each key and emits the count at the end of the input.
struct Count;

impl KeyedProcessFunction<String, String> for Count {
    type State = u64;
    type Out = (String, u64);

    fn process(
        &mut self,
        _: &String,
        n: &mut u64,
        _: String,
        _: &mut KeyedContext,
        _: &mut Collector<Self::Out>,
    ) -> Result<()> {
        *n += 1;
        Ok(())
    }

    fn end_of_input(&mut self, word: &String, n: &mut u64, out: &mut Collector<Self::Out>) -> Result<()> {
        out.emit((word.clone(), *n));
        Ok(())
    }
}

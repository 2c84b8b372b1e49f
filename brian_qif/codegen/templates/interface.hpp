// The C interface that Python calls. Arrays belong to the caller and outlive the network.

#include <memory>
#include <new>

struct Run {
    Trial trial;
    Gradient gradient;
    explicit Run(const Network &network) : trial(network) {
        const size_t nodes = network.nodes.size(), pathways = network.pathways.size();
        gradient.average_seeds.resize(nodes);
        gradient.peak_seeds.resize(nodes);
        gradient.sample_seeds.resize(nodes);
        gradient.models.resize(nodes);
        gradient.weights.resize(pathways);
        gradient.delays.resize(pathways);
        gradient.initial_v.resize(nodes);
        gradient.initial_current.resize(nodes);
        gradient.wanted_times.resize(nodes);
    }
};

{% if precision.flushes %}
#if defined(__SSE2__)
#include <xmmintrin.h>

// Numbers below 1e-38 count as zero while a sweep runs: a current of single precision is that small after 90 time
// constants, and arithmetic on such numbers is a hundred times slower. The thread's own setting comes back afterwards.
struct FlushToZero {
    const unsigned int before = _mm_getcsr();
    FlushToZero() { _mm_setcsr(before | 0x8040); }
    ~FlushToZero() { _mm_setcsr(before); }
};
#else
struct FlushToZero {
    FlushToZero() {}
};
#endif
{% endif %}

// No exception may pass through the C interface.
template <typename Work>
static void guarded(Trial &trial, Work work) {
{% if precision.flushes %}
    const FlushToZero flush;
{% endif %}
    try {
        work();
    } catch (const std::bad_alloc &) {
        trial.fail(OUT_OF_MEMORY, -1, -1, trial.end);
    }
}

// The fastest way that gives what is wanted of a component.
static Outcome sweep_forward(Trial &trial, size_t index) {
    const std::vector<int> &members = trial.network.components[index];
    const bool layer = trial.network.is_layer(members);
    bool averaged = false, watched = false, spikes = false;
    for (const int k : members) {
        averaged |= !std::isnan(trial.rates[k]);
        watched |= trial.wants_peaks[k] || !trial.sample_times[k].empty();
        spikes |= trial.network.nodes[k].spikes;
    }
    History &history = trial.histories[index];
    history.passive = layer && averaged && !watched && !spikes && trial.network.nodes[members[0]].kind == 0;
    if (history.passive) return Passive(trial, index).forward();
    history.sparse = !averaged && !watched && trial.network.is_sparse(members);  // others want all neurons at one time
    history.layered = layer && spikes && !averaged && !watched && !history.sparse;
    return history.sparse ? SparseForward(trial, index).run() : ForwardSweep(trial, index).run();
}

static Outcome sweep_back(Trial &trial, size_t index, Gradient &gradient) {
    History &history = trial.histories[index];
    if (history.passive) {
        const int node = trial.network.components[index][0];
        if (gradient.models[node] == nullptr) return Passive(trial, index).reverse(gradient);
        // Slopes by its own parameters are integrals over its course, which has to be known.
        history.passive = false;
        trial.averages[node].assign(trial.averages[node].size(), double(0));
        if (ForwardSweep(trial, index).run()) return trial.outcome;
    }
    return history.sparse ? SparseReverse(trial, index, gradient).run() : ReverseSweep(trial, index, gradient).run();
}

extern "C" {

// A component is sparse where `sparse_factor` times the targets of an arrival are fewer than its neurons.
Network *network_create(double sparse_factor) {
    Network *network = new Network();
    network->sparse_factor = sparse_factor;
    return network;
}
void network_destroy(Network *network) { delete network; }

void network_add_source(Network *network, int64_t size) {
    Node node;
    node.is_source = true;
    node.size = size;
    network->nodes.push_back(node);
}

// `parameters`: rows of tau_m, tau_s, threshold and reset, one entry per neuron.
void network_add_neurons(Network *network, int kind, int spikes, int uniform, int64_t size, const double *parameters,
                         const double *v, const double *current) {
    Node node;
    node.spikes = spikes != 0;
    node.uniform = uniform != 0;
    node.kind = kind;
    node.size = size;
    node.stride = (size + LINE - 1) / LINE * LINE;
    node.v = v;
    node.current = current;
    for (std::vector<double> *row : {&node.tau_m, &node.tau_s, &node.threshold, &node.reset}) {
        row->assign(parameters, parameters + size);
        row->resize(node.stride, parameters[size - 1]);
        parameters += size;
    }
    node.fastest_tau_m = *std::min_element(node.tau_m.begin(), node.tau_m.end());
    node.slowest_tau_m = *std::max_element(node.tau_m.begin(), node.tau_m.end());
    node.fastest_tau_s = *std::min_element(node.tau_s.begin(), node.tau_s.end());
    network->nodes.push_back(std::move(node));
}

void network_add_pathway(Network *network, int source, int target, const int64_t *fan_pointer, const int64_t *fan_start,
                         const int64_t *first_target, const int64_t *targets, const double *fan_delay,
                         const real *weights, const double *largest_weight) {
    Pathway pathway{source, target, fan_pointer, fan_start, first_target, targets, fan_delay, weights, largest_weight};
    const int64_t fans = fan_pointer[network->nodes[source].size];
    bool alike = fans > 0 && first_target[0] >= 0;
    for (int64_t fan = 1; alike && fan < fans; ++fan)
        alike = first_target[fan] == first_target[0] && fan_start[fan + 1] - fan_start[fan] == fan_start[1];
    if (alike) pathway.row = fan_start[1];
    network->pathways.push_back(pathway);
}

void network_add_component(Network *network, int64_t count, const int64_t *members) {
    network->components.emplace_back(members, members + count);
}

Run *run_create(const Network *network) { return new Run(*network); }
void run_destroy(Run *run) { delete run; }

void run_set_source(Run *run, int node, int64_t count, const double *times, const int64_t *units) {
    run->trial.spikes[node].times.assign(times, times + count);
    run->trial.spikes[node].units.assign(units, units + count);
}

// Times at which the state of a node is read, ascending.
void run_set_samples(Run *run, int node, int64_t count, const double *times) {
    run->trial.sample_times[node].assign(times, times + count);
    run->trial.samples[node].assign(2 * count * run->trial.network.nodes[node].size, double(0));
}

void run_want_peaks(Run *run, int node) { run->trial.wants_peaks[node] = 1; }

// `rates`: one per node, NaN where no average is wanted.
int run_forward(Run *run, double start, double duration, const double *rates) {
    Trial &trial = run->trial;
    trial.start = start;
    trial.end = start + duration;
    trial.outcome = DONE;
    for (size_t k = 0; k < trial.network.nodes.size(); ++k) {
        trial.rates[k] = rates[k];
        trial.averages[k].assign(std::isnan(rates[k]) ? 0 : trial.network.nodes[k].size, double(0));
        trial.peaks[k].clear();
        if (trial.network.nodes[k].is_source) continue;
        trial.spikes[k].times.clear();
        trial.spikes[k].units.clear();
    }
    guarded(trial, [&] {
        for (size_t c = 0; c < trial.network.components.size(); ++c)
            if (sweep_forward(trial, c)) break;
    });
    return trial.outcome;
}

int64_t run_spike_count(const Run *run, int node) { return int64_t(run->trial.spikes[node].times.size()); }

void run_read_spikes(const Run *run, int node, double *times, int64_t *units) {
    std::copy(run->trial.spikes[node].times.begin(), run->trial.spikes[node].times.end(), times);
    std::copy(run->trial.spikes[node].units.begin(), run->trial.spikes[node].units.end(), units);
}

void run_read_average(const Run *run, int node, double *values) {
    std::copy(run->trial.averages[node].begin(), run->trial.averages[node].end(), values);
}

void run_read_peaks(const Run *run, int node, double *values) {
    for (const Peak &peak : run->trial.peaks[node]) *values++ = peak.value;
}

void run_read_samples(const Run *run, int node, double *values) {
    std::copy(run->trial.samples[node].begin(), run->trial.samples[node].end(), values);
}

// `seeds` may be null; one value per spike.
void run_seed_spikes(Run *run, int node, const double *seeds) {
    SpikeList &list = run->trial.spikes[node];
    if (seeds != nullptr)
        list.slopes.assign(seeds, seeds + list.times.size());
    else
        list.slopes.assign(list.times.size(), double(0));
}

void run_seed_average(Run *run, int node, const double *seeds) { run->gradient.average_seeds[node] = seeds; }
void run_seed_peaks(Run *run, int node, const double *seeds) { run->gradient.peak_seeds[node] = seeds; }
void run_seed_samples(Run *run, int node, const double *seeds) { run->gradient.sample_seeds[node] = seeds; }
void run_want_model(Run *run, int node, double *slopes) { run->gradient.models[node] = slopes; }
void run_want_pathway(Run *run, int pathway, real *weights, real *delays) {
    run->gradient.weights[pathway] = weights;
    run->gradient.delays[pathway] = delays;
}
void run_want_node(Run *run, int node, int times, double *v, double *current) {
    run->gradient.wanted_times[node] = char(times);
    run->gradient.initial_v[node] = v;
    run->gradient.initial_current[node] = current;
}

int run_reverse(Run *run) {
    Trial &trial = run->trial;
    trial.outcome = DONE;
    guarded(trial, [&] {
        for (size_t c = trial.network.components.size(); c-- > 0;)
            if (sweep_back(trial, c, run->gradient)) break;
    });
    return trial.outcome;
}

void run_read_spike_slopes(const Run *run, int node, double *slopes) {
    std::copy(run->trial.spikes[node].slopes.begin(), run->trial.spikes[node].slopes.end(), slopes);
}

void run_failure(const Run *run, int64_t *where, double *when) {
    where[0] = run->trial.failed_node;
    where[1] = run->trial.failed_neuron;
    *when = run->trial.failed_time;
}

}  // extern "C"

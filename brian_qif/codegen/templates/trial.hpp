// What a network is to the generated code, and what one trial of it leaves.

#include <deque>
#include <queue>

constexpr int BLOCK = 64;
constexpr size_t MOST_EVENTS = 10000000, MOST_UPDATES = 200000000, MOST_STALLED = 1000;

enum Outcome { DONE = 0, NOT_FINITE = 1, TOO_MANY_EVENTS = 2, GRAZING = 3, OUT_OF_MEMORY = 4 };

struct Pathway {
    int source, target;
    const int64_t *fan_pointer, *fan_start, *first_target, *targets;  // first_target: -1 where targets are not contiguous
    const double *fan_delay;
    const real *weights;
    const double *largest_weight;
    int64_t row = 0;  // synapses of each fan, where all fans have the same contiguous targets; else 0
};

struct Network {
    std::vector<Node> nodes;
    std::vector<Pathway> pathways;
    std::vector<std::vector<int>> components;
    double sparse_factor = 0;

    // Whether spikes reach so few of a component's neurons that each is better carried by itself.
    bool is_sparse(const std::vector<int> &members) const {
        double neurons = 0, synapses = 0, fans = 0;
        for (const int k : members) {
            neurons += nodes[k].size;
            for (const Pathway &pathway : pathways)
                if (pathway.target == k) {
                    const int64_t count = pathway.fan_pointer[nodes[pathway.source].size];
                    fans += count;
                    synapses += pathway.fan_start[count];
                }
        }
        return fans > 0 && sparse_factor * synapses < neurons * fans;
    }

    // Whether a group's neurons hear none of each other.
    bool is_layer(const std::vector<int> &members) const {
        if (members.size() > 1) return false;
        for (const Pathway &pathway : pathways)
            if (pathway.source == members[0] && pathway.target == members[0]) return false;
        return true;
    }
};

constexpr int SPIKE = -1, SAMPLE = -2;

// An arrival through a fan of a pathway, a spike of a neuron (pathway = SPIKE), or a reading of the state of a node
// (pathway = SAMPLE); `spike` counts the spikes or samples of the node. Trials list many of these, so they are short.
struct Action {
    int32_t pathway, node, fan_or_neuron, spike;
};

struct Arrival {
    double time;
    int64_t order;
    Action action;
    bool operator<(const Arrival &other) const {  // for a queue with the earliest on top
        return time != other.time ? time > other.time : order > other.order;
    }
};

// What happens at one time: the actions from first_action up to that of the next event; none where a long step is cut.
struct Event {
    double time;
    size_t first_action;
    size_t currents = NONE;  // where the currents after many arrivals are kept
    static constexpr size_t NONE = size_t(-1);
};

// Of a sparse component: one neuron is carried over `length` and changed; its state before.
struct Update {
    double length;
    Local before;
};

// Of a layer: one spike, at the end of a stretch over which nothing arrived at its neuron; the states at both ends.
struct Passage {
    double since, time;
    int32_t neuron;
    bool last;  // the neuron's last spike before the next event
    Local before, after;
};

struct SparseEvent {
    double time;
    Action action;
};

struct History {
    std::vector<Event> events;
    std::vector<Action> actions;
    std::vector<real> checkpoints;  // one state of the component for each block of events
    std::vector<real> currents;     // of its one group, after events at which much arrived
    bool sparse = false, layered = false, passive = false;
    std::vector<Passage> passages;  // by spike
    std::vector<size_t> first_passage;  // by event
    std::vector<double> influences;  // of a passive one, by arrival: what v and I then do to the average
    std::deque<Update> updates;  // grows without a copy of all that there is
    std::deque<SparseEvent> sparse_events;
};

struct SpikeList {
    std::vector<double> times;
    std::vector<int64_t> units;
    std::vector<double> slopes;
};

// The largest voltage of a neuron: `elapsed` after the beginning of the step that ends with an event; -1: at the start.
struct Peak {
    double value, elapsed;
    int64_t event;
};

struct Trial {
    const Network &network;
    double start = 0, end = 0;
    std::vector<SpikeList> spikes;
    std::vector<double> rates;  // of weighted averages; NaN where none is wanted
    std::vector<std::vector<double>> averages;
    std::vector<char> wants_peaks;  // by node
    std::vector<std::vector<Peak>> peaks;
    std::vector<std::vector<double>> sample_times, samples;  // by node; a sample has the voltages, then the currents
    std::vector<History> histories;
    Outcome outcome = DONE;
    int failed_node = -1;
    int64_t failed_neuron = -1;
    double failed_time = 0;

    explicit Trial(const Network &network)
        : network(network), spikes(network.nodes.size()), rates(network.nodes.size()),
          averages(network.nodes.size()), wants_peaks(network.nodes.size()), peaks(network.nodes.size()), sample_times(network.nodes.size()), samples(network.nodes.size()),
          histories(network.components.size()) {}

    Outcome fail(Outcome reason, int node, int64_t neuron, double time) {
        failed_node = node;
        failed_neuron = neuron;
        failed_time = time;
        return outcome = reason;
    }
};

// The derivatives that a reverse sweep begins with, and those that are wanted of it.
struct Gradient {
    std::vector<const double *> average_seeds, peak_seeds, sample_seeds;  // by node; null where there are none
    std::vector<real *> weights, delays;  // by pathway, in the order of its fans; null where not wanted
    std::vector<double *> initial_v, initial_current;
    std::vector<double *> models;  // by node: rows of tau_m, tau_s, threshold, reset; null where not wanted
    std::vector<char> wanted_times;  // by node: slopes of the spike times of sources
};

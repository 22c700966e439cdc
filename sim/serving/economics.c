#include "sim/serving/economics.h"

#include "hw/price.h"

#include <string.h>

static double usd_per_s(const Scenario *scenario, double gpus, double watts)
{
    return gpus * price_gpu_hour_usd(scenario, gpus) / 3600 +
           watts * price_energy_usd_per_j(scenario);
}

static double per(double amount, double tokens)
{
    return tokens > 0 ? amount / tokens : 0;
}

void economics_of(const Scenario *scenario, const ServedLoad *load, Economics *economics)
{
    const PriceSpec *prices = &scenario->prices;
    const GpuUse idle = {0};
    const double input = load->input_tokens_per_s, output = load->output_tokens_per_s;
    const double watts = power_grid_w(scenario, load->gpus, &load->use);
    const double cost = usd_per_s(scenario, load->gpus, watts);
    const double list =
        prices->list_per_1k_input_usd / 1e3 * input + prices->list_per_1k_output_usd / 1e3 * output;
    memset(economics, 0, sizeof *economics);
    economics->watts = watts;
    economics->idle_watts = power_grid_w(scenario, load->gpus, &idle);
    economics->usd_per_hour = 3600 * cost;
    economics->idle_usd_per_hour = 3600 * usd_per_s(scenario, load->gpus, economics->idle_watts);
    economics->usd_per_1k_tokens = per(1e3 * cost, input + output);
    economics->usd_per_1m_input = per(1e6 * cost * load->input_share, input);
    economics->usd_per_1m_output = per(1e6 * cost * (1 - load->input_share), output);
    economics->joules_per_token = per(watts, input + output);
    economics->joules_per_input_token = per(watts * load->input_share, input);
    economics->joules_per_output_token = per(watts * (1 - load->input_share), output);
    economics->list_usd_per_hour = 3600 * list;
    economics->margin = list > 0 ? 1 - cost / list : 0;
}

double economics_usd_per_1k_at(const Scenario *scenario, const ServedLoad *load, double factor)
{
    ServedLoad scaled = *load;
    Economics economics;
    scaled.use.busy *= factor;
    scaled.use.bandwidth *= factor;
    scaled.use.flops *= factor;
    scaled.input_tokens_per_s *= factor;
    scaled.output_tokens_per_s *= factor;
    economics_of(scenario, &scaled, &economics);
    return economics.usd_per_1k_tokens;
}

from ray.data._internal.cluster_autoscaler import CLUSTER_AUTOSCALER_ENV_KEY, ClusterAutoscalerVersion

from urm_ray.pipeline.context import _DATA_ENV


def test_executions_are_given_all_cpus_of_the_cluster():
    assert ClusterAutoscalerVersion(_DATA_ENV[CLUSTER_AUTOSCALER_ENV_KEY]) is ClusterAutoscalerVersion.V2
